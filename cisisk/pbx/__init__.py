"""Asterisk's manager interface (AMI): the connection, and what it tells of phones."""
