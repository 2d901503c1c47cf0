"""Asterisk's manager interface (AMI): the connection, registrations, calls."""
