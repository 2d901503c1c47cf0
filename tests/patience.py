"""The timeout of conditions in tests."""

PATIENCE = 60.0
"""Seconds. Only a failing test waits this long; a busy machine needs more time than an idle one."""
