"""Fields that the resources share."""

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, post_load, validate

from cisisk.model.clock import timestamp
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac


def text(longest: int, *, shortest: int = 1) -> validate.Length:
    """The length of a text, in characters."""
    return validate.Length(min=shortest, max=longest)


class Form(validate.Validator):
    """What a whole text looks like: an expression from ^ to $, the dialect that OpenAPI publishes it in."""

    def __init__(self, pattern: str, *, error: str) -> None:
        self.regex = re.compile(pattern)
        self._error = error

    def __call__(self, value: str) -> str:
        """Return ``value``, which has no line end behind it either. Raises ValidationError."""
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self._error)
        return value


NAME = text(120)
LINE = text(255, shortest=0)
PARAGRAPH = text(2000, shortest=0)


class In(Schema):
    """What clients send: null in an optional field is as good as nothing, and brings its default back."""

    @post_load
    def _defaults_for_null(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        for name, value in values.items():
            if value is None:
                default = self.fields[name].load_default
                values[name] = None if default is missing else default() if callable(default) else default
        return values


class Uuid(fields.UUID):
    """A UUID, as lower-case text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return str(super()._deserialize(value, attr, data, **kwargs))


class MacAddress(fields.String):
    """A MAC address: any usual form in, ``AA:BB:CC:DD:EE:01`` out."""

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(metadata={"example": "AA:BB:CC:DD:EE:01", **(metadata or {})}, **kwargs)

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


class WholeNumber(fields.Integer):
    """A whole number, or a text that is one; 1.5 is refused instead of cut."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Moment(fields.String):
    """A point in time that clients send, in any form of RFC 3339."""

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "date-time", **(metadata or {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            moment = datetime.fromisoformat(super()._deserialize(value, attr, data, **kwargs))
            if moment.tzinfo is not None:
                return timestamp(moment)
        except (ValueError, OverflowError) as error:
            raise ValidationError(self._WANTED) from error
        raise ValidationError(self._WANTED)

    _WANTED = "Not a time such as 2026-06-28T12:00:00.000Z"


class Timestamp(fields.String):
    """A time such as ``2026-06-28T12:00:00.000Z``."""

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(dump_only=True, metadata={"format": "date-time", **(metadata or {})}, **kwargs)
