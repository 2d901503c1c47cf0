"""The part of SIP that a NOTIFY to a phone needs: messages, digest, client transaction (RFC 3261, 7616)."""
