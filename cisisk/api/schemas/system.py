"""Schemas of the audit log, health and greeting."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import TimestampField, Uuid
from cisisk.api.schemas.notice import NoticeOut


class AuditEntryOut(Schema):
    """An entry of the audit log."""

    uuid = Uuid(required=True)
    user_uuid = Uuid(required=True, allow_none=True)
    action = fields.String(required=True, metadata={"example": "profile.switched"})
    entity_type = fields.String(required=True)
    entity_uuid = fields.String(required=True, allow_none=True)
    payload = fields.Dict(required=True)
    ip = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True, allow_none=True)
    created_at = TimestampField(required=True)


class MemoryOut(Schema):
    """Memory of the process."""

    rss = fields.Integer(required=True, metadata={"description": "Resident memory in bytes"})


class HealthOut(Schema):
    """The state of Cisisk."""

    status = fields.String(required=True, metadata={"enum": ["ok", "degraded"]})
    uptime = fields.Float(required=True, metadata={"description": "Seconds since the start"})
    database = fields.String(required=True, metadata={"enum": ["ok", "failed"]})
    tftp = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    provisioning_http = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    ftp = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    served_directory = fields.String(required=True, metadata={"enum": ["ok", "failed", "off"]})
    served_directory_problem = fields.Nested(
        NoticeOut, required=True, allow_none=True, metadata={"description": "Why phones do not get its files"}
    )
    asterisk = fields.String(
        required=True,
        metadata={
            "enum": ["ok", "degraded", "failed", "off"],
            "description": "Connection to Asterisk. Phones are served without it, so it does not affect status",
        },
    )
    asterisk_problems = fields.List(
        fields.Nested(NoticeOut),
        required=True,
        metadata={"description": "What keeps Asterisk from doing its part, and the setting to change"},
    )
    memory = fields.Nested(MemoryOut, required=True)


class HelloOut(Schema):
    """The greeting."""

    greeting = fields.String(required=True)
    documentation = fields.String(required=True)
    environment = fields.String(required=True)
