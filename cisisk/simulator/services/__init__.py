"""A phone's browser of XML services (docs/phone-protocol/xml-services.md#objects)."""
