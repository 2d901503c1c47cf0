"""The versions of a phone's config, and what differs between them."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import Timestamp
from cisisk.api.schemas.listing import MOST, ListQuery
from cisisk.model.deployment import Origin


class VersionQuery(ListQuery):
    """Which versions are wanted."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, MOST))


class VersionOut(Schema):
    """One config that a phone was ever served, or was about to be."""

    number = fields.Integer(required=True, metadata={"description": "Counts the versions of all phones together"})
    sha256 = fields.String(required=True)
    origin = fields.Enum(Origin, by_value=True, required=True)
    created_at = Timestamp(required=True)
    size = fields.Integer(required=True, metadata={"description": "In bytes"})


class DiffOut(Schema):
    """What differs between two configs."""

    changes = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Empty when a phone reads the same in both. Secrets are not shown"},
    )
    more = fields.Integer(required=True, metadata={"description": "How many changes are not listed"})
    restart = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What makes a phone take it; null for nothing", "enum": ["restart", "reset", None]},
    )
    reset_for = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Why a restart would not do: load, locale, protocol, network"},
    )
