"""Restart methods: one module each, tried in the configured order until the phone accepts one."""
