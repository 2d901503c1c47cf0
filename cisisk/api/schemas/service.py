"""Schemas of XML services."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import LINE, In, TimestampField, Uuid, text


class ServiceIn(In):
    """A service as clients send it."""

    name = fields.String(allow_none=True, validate=LINE)
    url = fields.String(
        allow_none=True,
        validate=text(256, shortest=0),
        metadata={"description": "URL, or a URI that phones support, such as Application:Cisco/MissedCalls"},
    )
    type = fields.String(allow_none=True, validate=LINE)


class ServiceOut(Schema):
    """A service."""

    uuid = Uuid(required=True)
    name = fields.String(required=True, allow_none=True)
    url = fields.String(required=True, allow_none=True)
    type = fields.String(required=True, allow_none=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)
