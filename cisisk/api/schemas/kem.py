"""Schemas of key expansion modules."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import LINE, In, IpAddress, MacAddress, TimestampField, Uuid, text
from cisisk.api.schemas.notice import NoticeOut
from cisisk.model.codes.kem import KemFindingCode


class KemIn(In):
    """A key expansion module."""

    model = fields.String(allow_none=True, validate=text(64), metadata={"example": "CP-7915"})
    mac = MacAddress(allow_none=True)
    ip = IpAddress(allow_none=True)
    connected_phone = MacAddress(allow_none=True, metadata={"description": "Phone in the inventory"})
    software_version = fields.String(allow_none=True, validate=LINE)
    software_type = fields.String(allow_none=True, validate=LINE)


class KemWarningOut(NoticeOut):
    """A module that cannot work with its phone."""

    code = fields.String(required=True, metadata={"enum": list(KemFindingCode)})


class KemOut(Schema):
    """A key expansion module."""

    uuid = Uuid(required=True)
    model = fields.String(required=True, allow_none=True)
    mac = MacAddress(required=True, allow_none=True)
    ip = fields.String(required=True, allow_none=True)
    connected_phone = MacAddress(required=True, allow_none=True)
    software_version = fields.String(required=True, allow_none=True)
    software_type = fields.String(required=True, allow_none=True)
    warnings = fields.List(fields.Nested(KemWarningOut), required=True, attribute="findings")
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)
