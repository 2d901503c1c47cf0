"""Schemas of phone logins and default profiles."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import MacAddress, TimestampField, Uuid, text
from cisisk.api.schemas.listing import ListQuery
from cisisk.model.messages import render
from cisisk.model.phone_login import EndReason, LoginState, LoginWay, ReturnedTo

MAX_DEFAULTS = 100
"""Most default profiles, more than the catalogue has models."""


class PhoneLoginOut(Schema):
    """A login on a phone."""

    uuid = Uuid(required=True)
    mac = MacAddress(required=True)
    phone_name = fields.String(required=True, allow_none=True)
    location = fields.String(required=True, allow_none=True)
    user_uuid = Uuid(required=True)
    username = fields.String(required=True)
    profile_uuid = Uuid(required=True)
    profile_name = fields.String(required=True)
    way = fields.Enum(LoginWay, by_value=True, required=True)
    state = fields.Enum(LoginState, by_value=True, required=True)
    logged_in_at = TimestampField(required=True, allow_none=True)
    until = TimestampField(required=True, allow_none=True, metadata={"description": "Latest end of the login"})
    deployment = Uuid(required=True, allow_none=True)
    reason = fields.Enum(EndReason, by_value=True, required=True, allow_none=True)
    reason_message = fields.Function(
        lambda login: None if login.reason is None else render(login.reason.notice),
        required=True,
        allow_none=True,
        metadata={"type": "string", "description": "The reason as a sentence"},
    )
    # The config that the phone got afterwards.
    returned_to = fields.Enum(ReturnedTo, by_value=True, required=True, allow_none=True)
    ended_at = TimestampField(required=True, allow_none=True)
    ended_by = Uuid(required=True, allow_none=True, metadata={"description": "Deployment that ended the login"})


class PhoneLoginsQuery(ListQuery):
    """Query of a list of logins."""

    history = fields.Boolean(load_default=False, metadata={"description": "Include logins that have ended"})


class DefaultProfileIn(Schema):
    """The default profile for a phone model."""

    model = fields.String(required=True, validate=text(64), metadata={"example": "CP-7942G"})
    profile_uuid = Uuid(required=True)


class DefaultProfilesIn(Schema):
    """A user's default profiles."""

    default_profiles = fields.List(
        fields.Nested(DefaultProfileIn), required=True, validate=validate.Length(max=MAX_DEFAULTS)
    )


class DefaultProfileOut(Schema):
    """The default profile for a phone model."""

    model = fields.String(required=True, metadata={"description": "Normalised model name", "example": "7942"})
    profile_uuid = Uuid(required=True)
    profile_name = fields.String(required=True)


class DefaultProfilesOut(Schema):
    """A user's default profiles."""

    default_profiles = fields.List(fields.Nested(DefaultProfileOut), required=True)
