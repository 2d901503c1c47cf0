"""Logins on phones, and which profile comes first there."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import MacAddress, Timestamp, Uuid, text
from cisisk.api.schemas.listing import ListQuery
from cisisk.model.messages import render
from cisisk.model.phone_login import EndReason, LoginState, LoginWay, ReturnedTo

MAX_DEFAULTS = 100
"""More models than the catalogue has."""


class PhoneLoginOut(Schema):
    """A user on a phone."""

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
    logged_in_at = Timestamp(required=True, allow_none=True)
    until = Timestamp(required=True, allow_none=True, metadata={"description": "When it ends at the latest"})
    deployment = Uuid(required=True, allow_none=True)
    reason = fields.Enum(EndReason, by_value=True, required=True, allow_none=True)
    reason_message = fields.Function(
        lambda login: None if login.reason is None else render(login.reason.notice),
        required=True,
        allow_none=True,
        metadata={"type": "string", "description": "The reason as a sentence"},
    )
    # What the phone was given in its place.
    returned_to = fields.Enum(ReturnedTo, by_value=True, required=True, allow_none=True)
    ended_at = Timestamp(required=True, allow_none=True)
    ended_by = Uuid(required=True, allow_none=True, metadata={"description": "The deployment of what came after it"})


class PhoneLoginsQuery(ListQuery):
    """Which logins are wanted."""

    history = fields.Boolean(load_default=False, metadata={"description": "Those that have ended too"})


class DefaultProfileIn(Schema):
    """Which profile comes first on phones of a model."""

    model = fields.String(required=True, validate=text(64), metadata={"example": "CP-7942G"})
    profile_uuid = Uuid(required=True)


class DefaultProfilesIn(Schema):
    """A user's default profiles."""

    default_profiles = fields.List(
        fields.Nested(DefaultProfileIn), required=True, validate=validate.Length(max=MAX_DEFAULTS)
    )


class DefaultProfileOut(Schema):
    """Which profile comes first on phones of a model."""

    model = fields.String(required=True, metadata={"description": "As models are compared", "example": "7942"})
    profile_uuid = Uuid(required=True)
    profile_name = fields.String(required=True)


class DefaultProfilesOut(Schema):
    """A user's default profiles."""

    default_profiles = fields.List(fields.Nested(DefaultProfileOut), required=True)
