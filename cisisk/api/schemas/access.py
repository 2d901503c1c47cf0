"""Who is served what."""

from marshmallow import Schema, fields

from cisisk.api.schemas.fields import MacAddress, Timestamp
from cisisk.api.schemas.notice import CarriedNoticeOut
from cisisk.provisioning.access.alarm import AlarmKind


class AllowedFetchOut(Schema):
    """A permission for one phone to take its files from any address; it ends at ``until``, or once that was done."""

    mac = MacAddress(required=True)
    until = Timestamp(required=True)


class AccessAlarmOut(CarriedNoticeOut):
    """A client asked for the files of other phones."""

    kind = fields.Enum(AlarmKind, by_value=True, required=True)
    host = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The source's address; null with flood, when there are too many to tell"},
    )
    since = Timestamp(required=True)
    seconds = fields.Integer(required=True, metadata={"description": "From its first request to its last so far"})
    asked = fields.Integer(required=True, metadata={"description": "Requests for files of phones not known there"})
    devices = fields.Integer(required=True, metadata={"description": "Different phones among them"})
    refused = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "The phones whose files it was refused, or with is_observed would have been"},
    )
    is_observed = fields.Boolean(
        required=True, metadata={"description": "provisioning.access is observe: nothing was refused"}
    )
