"""Schemas of extensions and their users."""

from marshmallow import Schema, fields, validate

from cisisk.api.schemas.fields import NAME, PARAGRAPH, In, TimestampField, Uuid, text
from cisisk.model.extension import ExtensionType


def _secret(description: str) -> fields.String:
    """Return a field for a secret, which is always null in responses."""
    return fields.String(
        required=True,
        allow_none=True,
        dump_default=None,
        validate=validate.OneOf([None]),
        metadata={"description": description},
    )


class ExtensionIn(In):
    """An extension."""

    type = fields.Enum(ExtensionType, by_value=True, required=True)
    extension = fields.String(required=True, validate=text(64), metadata={"example": "101"})
    name = fields.String(required=True, validate=NAME)
    password = fields.String(required=True, load_only=True, validate=text(256), metadata={"format": "password"})
    description = fields.String(allow_none=True, validate=PARAGRAPH)
    voicemail = fields.Boolean(allow_none=True, load_default=False)
    voicemail_passcode = fields.String(
        allow_none=True,
        load_only=True,
        validate=text(64),
        metadata={"format": "password", "description": "Required with voicemail"},
    )
    is_active = fields.Boolean(allow_none=True, load_default=True)


class ExtensionOut(Schema):
    """An extension."""

    uuid = Uuid(required=True)
    type = fields.Enum(ExtensionType, by_value=True, required=True)
    extension = fields.String(required=True)
    name = fields.String(required=True)
    password = _secret("Always null")
    description = fields.String(required=True, allow_none=True)
    voicemail = fields.Boolean(required=True)
    voicemail_passcode = _secret("Always null")
    is_active = fields.Boolean(required=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)


class UserExtensionIn(Schema):
    """A link to create between a user and an extension."""

    user_uuid = Uuid(required=True)
    extension_uuid = Uuid(required=True)


class UserExtensionOut(Schema):
    """A link between a user and an extension."""

    uuid = Uuid(required=True)
    user_uuid = Uuid(required=True)
    extension_uuid = Uuid(required=True)
    username = fields.String(required=True)
    first_name = fields.String(required=True)
    last_name = fields.String(required=True)
    extension = fields.String(required=True)
    ext_name = fields.String(required=True)
    type = fields.Enum(ExtensionType, by_value=True, required=True)
    created_at = TimestampField(required=True)
