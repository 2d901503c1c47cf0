"""Sites."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import LINE, NAME, Form, In, Timestamp, Uuid, text

TIME_OF_DAY = Form("^([01][0-9]|2[0-3]):[0-5][0-9]$", error="Not a time of the day such as 20:00")
CALLER_ID = text(64, shortest=0)


class SiteIn(In):
    """A location with phones."""

    name = fields.String(
        required=True, validate=NAME, metadata={"description": "The location of its phones", "example": "Lisbon"}
    )
    logout_profile_uuid = Uuid(
        allow_none=True, metadata={"description": "What its phones are given when a user leaves them"}
    )
    emergency_location = fields.String(allow_none=True, validate=LINE)
    emergency_caller_id = fields.String(allow_none=True, validate=CALLER_ID)
    logout_at = fields.List(
        fields.String(validate=TIME_OF_DAY),
        allow_none=True,
        validate=validate.Length(max=24),
        metadata={"description": "When users are logged out; null for the times of the settings", "example": ["20:00"]},
    )


class SiteOut(Schema):
    """A location with phones."""

    uuid = Uuid(required=True)
    name = fields.String(required=True)
    logout_profile_uuid = Uuid(required=True, allow_none=True)
    emergency_location = fields.String(required=True, allow_none=True)
    emergency_caller_id = fields.String(required=True, allow_none=True)
    logout_at = fields.List(fields.String(), required=True, allow_none=True)
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)
