"""How long tests wait for a condition."""

PATIENCE = 60.0
"""Seconds. Only a test that fails waits so long; a busy machine needs more than an idle one."""
