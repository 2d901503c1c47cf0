"""The audit log, health and the greeting."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import Timestamp, Uuid


class AuditEntryOut(Schema):
    """Who did what to what."""

    uuid = Uuid(required=True)
    user_uuid = Uuid(required=True, allow_none=True)
    action = fields.String(required=True, metadata={"example": "profile.switched"})
    entity_type = fields.String(required=True)
    entity_uuid = fields.String(required=True, allow_none=True)
    payload = fields.Dict(required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    created_at = Timestamp(required=True)


class MemoryOut(Schema):
    """What the process occupies."""

    rss = fields.Integer(required=True, metadata={"description": "Bytes resident now"})


class HealthOut(Schema):
    """How Cisisk is."""

    status = fields.String(required=True, metadata={"enum": ["ok", "degraded"]})
    uptime = fields.Float(required=True, metadata={"description": "Seconds since the start"})
    database = fields.String(required=True, metadata={"enum": ["ok", "failed"]})
    tftp = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    provisioning_http = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    ftp = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    asterisk = fields.String(
        required=True,
        metadata={
            "enum": ["ok", "failed", "off"],
            "description": "Whether Cisisk is logged in to Asterisk. Phones are served without it: status stays ok",
        },
    )
    memory = fields.Nested(MemoryOut, required=True)


class HelloOut(Schema):
    """Who is here."""

    greeting = fields.String(required=True)
    documentation = fields.String(required=True)
    environment = fields.String(required=True)
