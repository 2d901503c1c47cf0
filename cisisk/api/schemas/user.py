"""Schemas of users, permissions, PINs and logins."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import LINE, NAME, In, Pattern, TimestampField, Uuid, text
from cisisk.api.schemas.phone_login import PhoneLoginOut
from cisisk.model.user import PIN_FORM

MIN_PASSWORD = 8
"""NIST SP 800-63B section 5.1.1.2."""
PASSWORD = validate.Length(min=MIN_PASSWORD, max=256)
PIN = Pattern(f"^{PIN_FORM}$", error="A PIN must have 4 to 16 digits")
USERNAME = Pattern(
    "^[A-Za-z0-9._@-]{1,64}$", error="A username must have 1 to 64 letters, digits, dots, hyphens, underscores or @"
)


class RegistrationIn(In):
    """A user who registers."""

    first_name = fields.String(required=True, validate=NAME)
    last_name = fields.String(required=True, validate=NAME)
    username = fields.String(required=True, validate=USERNAME)
    email = fields.Email(required=True, validate=text(254))
    password = fields.String(required=True, load_only=True, validate=PASSWORD, metadata={"format": "password"})
    phone = fields.String(allow_none=True, validate=LINE)
    lang = fields.String(allow_none=True, load_default="en", validate=text(35))
    location = fields.String(allow_none=True, validate=LINE)
    nationality = fields.String(allow_none=True, validate=LINE)
    timezone = fields.String(allow_none=True, load_default="UTC", validate=text(64))


class UserIn(RegistrationIn):
    """A user as administrators send it."""

    is_active = fields.Boolean(allow_none=True, load_default=True)


class UserOut(Schema):
    """A user."""

    uuid = Uuid(required=True)
    first_name = fields.String(required=True)
    last_name = fields.String(required=True)
    username = fields.String(required=True)
    email = fields.String(required=True)
    phone = fields.String(required=True, allow_none=True)
    lang = fields.String(required=True)
    location = fields.String(required=True, allow_none=True)
    nationality = fields.String(required=True, allow_none=True)
    timezone = fields.String(required=True)
    last_uuid = Uuid(required=True, allow_none=True, metadata={"description": "User who changed this record last"})
    last_login_ip = fields.String(required=True, allow_none=True)
    last_login_at = TimestampField(required=True, allow_none=True)
    last_logout_ip = fields.String(required=True, allow_none=True)
    is_active = fields.Boolean(required=True)
    created_at = TimestampField(required=True)
    created_by = Uuid(required=True, allow_none=True)
    updated_at = TimestampField(required=True)
    created_ip = fields.String(required=True, allow_none=True)
    updated_ip = fields.String(required=True, allow_none=True)


class HeldPermissionOut(Schema):
    """The permission of a user."""

    level = fields.Integer(required=True)
    perm_name = fields.String(required=True)


class CiscoUserOut(Schema):
    """A user with a phone PIN. The PIN itself is never returned."""

    uuid = Uuid(required=True)
    user_uuid = Uuid(required=True)
    created_at = TimestampField(required=True)


class MeOut(UserOut):
    """The authenticated user."""

    permission = fields.Nested(HeldPermissionOut, required=True, allow_none=True)
    cisco_user = fields.Nested(CiscoUserOut, required=True, allow_none=True)
    logins = fields.List(
        fields.Nested(PhoneLoginOut), required=True, metadata={"description": "Active logins on phones"}
    )


class PinIn(Schema):
    """A phone PIN."""

    pin_code = fields.String(required=True, load_only=True, validate=PIN, metadata={"format": "password"})


class LoginIn(Schema):
    """Credentials of a login."""

    username = fields.String(required=True, validate=text(64))
    password = fields.String(
        required=True, load_only=True, validate=validate.Length(1, 256), metadata={"format": "password"}
    )


class RefreshIn(Schema):
    """A refresh token."""

    refresh_token = fields.String(required=True, load_only=True, validate=text(256))


class LogoutIn(Schema):
    """The login to end; all of the user without a refresh token."""

    refresh_token = fields.String(load_only=True, allow_none=True, load_default=None, validate=text(256))


class TokensOut(Schema):
    """An access token and a refresh token."""

    accessToken = fields.String(required=True)  # noqa: N815 -- the contract's name
    refreshToken = fields.String(required=True)  # noqa: N815 -- the contract's name


class LoginOut(TokensOut):
    """A login with its tokens."""

    user = fields.Nested(UserOut, required=True)


class PermissionIn(In):
    """A permission."""

    level = fields.Integer(required=True, strict=True, validate=validate.Range(0, 1_000_000))
    name = fields.String(required=True, validate=NAME)
    description = fields.String(allow_none=True, validate=LINE)


class PermissionOut(Schema):
    """A permission."""

    uuid = Uuid(required=True)
    level = fields.Integer(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)


class UserPermissionIn(Schema):
    """A permission to assign to a user."""

    user_uuid = Uuid(required=True)
    perm_uuid = Uuid(required=True)


class UserPermissionOut(Schema):
    """The permission assigned to a user."""

    user_uuid = Uuid(required=True)
    perm_uuid = Uuid(required=True)
    level = fields.Integer(required=True)
    perm_name = fields.String(required=True)
