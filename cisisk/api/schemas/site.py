"""Schemas of sites."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import LINE, NAME, In, Pattern, TimestampField, Uuid, text

TIME_OF_DAY = Pattern("^([01][0-9]|2[0-3]):[0-5][0-9]$", error="Not a time of day such as 20:00")
CALLER_ID = text(64, shortest=0)


class SiteIn(In):
    """A location with phones."""

    name = fields.String(
        required=True, validate=NAME, metadata={"description": "Location of the phones", "example": "Lisbon"}
    )
    logout_profile_uuid = Uuid(allow_none=True, metadata={"description": "Profile of the phones without a user"})
    emergency_location = fields.String(allow_none=True, validate=LINE)
    emergency_caller_id = fields.String(allow_none=True, validate=CALLER_ID)
    logout_at = fields.List(
        fields.String(validate=TIME_OF_DAY),
        allow_none=True,
        validate=validate.Length(max=24),
        metadata={"description": "Times of the automatic logout; null for those of the settings", "example": ["20:00"]},
    )


class SiteOut(Schema):
    """A location with phones."""

    uuid = Uuid(required=True)
    name = fields.String(required=True)
    logout_profile_uuid = Uuid(required=True, allow_none=True)
    emergency_location = fields.String(required=True, allow_none=True)
    emergency_caller_id = fields.String(required=True, allow_none=True)
    logout_at = fields.List(fields.String(), required=True, allow_none=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)
