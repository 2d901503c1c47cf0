"""The call manager's Extension Mobility API, for the hot-desk applications that exist for it."""
