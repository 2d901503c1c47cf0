"""A Cisco phone in software."""
