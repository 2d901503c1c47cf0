"""A phone's browser of XML services (phone-protocol notes 4)."""
