"""Schemas of access permissions and alarms."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import MacAddress, TimestampField
from cisisk.api.schemas.notice import CarriedNoticeOut
from cisisk.provisioning.access.alarm import AlarmKind


class AllowedFetchOut(Schema):
    """A permission for one phone to fetch its files from any address, once and until ``until``."""

    mac = MacAddress(required=True)
    until = TimestampField(required=True)


class AccessAlarmOut(CarriedNoticeOut):
    """An alarm: a client requested files of other phones."""

    kind = fields.Enum(AlarmKind, by_value=True, required=True)
    host = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Address of the client; null with flood, which has too many clients"},
    )
    since = TimestampField(required=True)
    seconds = fields.Integer(required=True, metadata={"description": "Seconds from the first to the latest request"})
    asked = fields.Integer(required=True, metadata={"description": "Requests for files of phones at other addresses"})
    devices = fields.Integer(required=True, metadata={"description": "Number of different phones"})
    refused = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Phones whose files were refused, or would have been with is_observed"},
    )
    is_observed = fields.Boolean(
        required=True, metadata={"description": "provisioning.access is observe: nothing was refused"}
    )
