"""Cisco's Extension Mobility API for existing hot-desk applications."""
