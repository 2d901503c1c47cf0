"""The embedded TFTP server (RFC 1350, 2347, 2348, 2349): wire format, transfer, server."""
