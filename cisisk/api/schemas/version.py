"""Schemas of config versions and their differences."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import TimestampField
from cisisk.api.schemas.listing import MAX_LIMIT, ListQuery
from cisisk.model.deployment import Origin


class VersionQuery(ListQuery):
    """Query of a list of versions."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, MAX_LIMIT))


class VersionOut(Schema):
    """A config that was or will be served to a phone."""

    number = fields.Integer(required=True, metadata={"description": "Number of the version, unique for all phones"})
    sha256 = fields.String(required=True)
    origin = fields.Enum(Origin, by_value=True, required=True)
    created_at = TimestampField(required=True)
    size = fields.Integer(required=True, metadata={"description": "Size in bytes"})


class DiffOut(Schema):
    """The differences between two configs."""

    changes = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Empty if the configs are equivalent. Secrets are masked"},
    )
    more = fields.Integer(required=True, metadata={"description": "Number of changes that are not listed"})
    restart = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Action that applies the change; null for none",
            "enum": ["restart", "reset", None],
        },
    )
    reset_for = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Reasons for a reset: load, locale, protocol, network"},
    )
