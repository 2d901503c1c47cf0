"""The provisioning server over HTTP (RFC 9110, 9112): request, range, answer, connection, server."""
