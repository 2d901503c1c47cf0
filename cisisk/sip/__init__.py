"""As much of SIP as a NOTIFY to a phone needs: messages, digest answers, the client transaction (RFC 3261, 7616)."""
