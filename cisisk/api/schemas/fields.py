"""Fields that the resources share."""

import ipaddress
from typing import Any

from marshmallow import ValidationError, fields, validate

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac


def text(longest: int, *, shortest: int = 1) -> validate.Length:
    """The length of a text, in characters."""
    return validate.Length(min=shortest, max=longest)


NAME = text(120)
LINE = text(255, shortest=0)
PARAGRAPH = text(2000, shortest=0)


class Uuid(fields.UUID):
    """A UUID, as lower-case text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return str(super()._deserialize(value, attr, data, **kwargs))


class MacAddress(fields.String):
    """A MAC address: any usual form in, ``AA:BB:CC:DD:EE:01`` out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"example": "AA:BB:CC:DD:EE:01"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return Mac.parse(super()._deserialize(value, attr, data, **kwargs))
        except Invalid as error:
            raise ValidationError(error.fields["mac"]) from error


class IpAddress(fields.String):
    """An IPv4 or IPv6 address, in its usual form."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return str(ipaddress.ip_address(super()._deserialize(value, attr, data, **kwargs)))
        except ValueError as error:
            raise ValidationError("Not an IP address such as 192.0.2.7") from error


class Timestamp(fields.String):
    """A time such as ``2026-06-28T12:00:00.000Z``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dump_only=True, metadata={"format": "date-time"}, **kwargs)
