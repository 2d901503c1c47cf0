"""Field types shared by the schemas."""

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
    """Return a validator of the length in characters."""
    return validate.Length(min=shortest, max=longest)


class Pattern(validate.Validator):
    """A pattern for a whole text: an expression from ^ to $ in the dialect of OpenAPI."""

    def __init__(self, pattern: str, *, error: str) -> None:
        self.regex = re.compile(pattern)
        self._error = error

    def __call__(self, value: str) -> str:
        """Return ``value`` if it matches; a final line end does not match. Raises ValidationError."""
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self._error)
        return value


NAME = text(120)
LINE = text(255, shortest=0)
PARAGRAPH = text(2000, shortest=0)


class In(Schema):
    """A schema of client input. Null in an optional field restores its default."""

    @post_load
    def _defaults_for_null(self, values: dict[str, Any], **_: Any) -> dict[str, Any]:
        for name, value in values.items():
            if value is None:
                default = self.fields[name].load_default
                values[name] = None if default is missing else default() if callable(default) else default
        return values


class Uuid(fields.UUID):
    """A UUID, loaded as lower-case text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return str(super()._deserialize(value, attr, data, **kwargs))


class MacAddress(fields.String):
    """A MAC address: accepts all common formats, returns ``AA:BB:CC:DD:EE:01``."""

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(metadata={"example": "AA:BB:CC:DD:EE:01", **(metadata or {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return Mac.parse(super()._deserialize(value, attr, data, **kwargs))
        except Invalid as error:
            raise ValidationError(error.fields["mac"]) from error


class IpAddress(fields.String):
    """An IPv4 or IPv6 address, loaded in its canonical form."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return str(ipaddress.ip_address(super()._deserialize(value, attr, data, **kwargs)))
        except ValueError as error:
            raise ValidationError("Not an IP address such as 192.0.2.7") from error


class WholeNumber(fields.Integer):
    """A whole number or its text; 1.5 is invalid instead of truncated."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Moment(fields.String):
    """A time from a client, in any format of RFC 3339."""

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "date-time", **(metadata or {})}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            moment = datetime.fromisoformat(super()._deserialize(value, attr, data, **kwargs))
            if moment.tzinfo is not None:
                return timestamp(moment)
        except (ValueError, OverflowError) as error:
            raise ValidationError(self._ERROR) from error
        raise ValidationError(self._ERROR)

    _ERROR = "Not a time such as 2026-06-28T12:00:00.000Z"


class TimestampField(fields.String):
    """A time such as ``2026-06-28T12:00:00.000Z``."""

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(dump_only=True, metadata={"format": "date-time", **(metadata or {})}, **kwargs)
