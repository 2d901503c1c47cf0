"""The XML service browser of a phone (docs/phone-protocol/xml-services.md#objects)."""
