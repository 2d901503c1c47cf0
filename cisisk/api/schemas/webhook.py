"""Schemas of webhooks and deliveries."""

from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate
from yarl import URL

from cisisk.api.schemas.fields import LINE, In, TimestampField, Uuid, text
from cisisk.api.schemas.listing import MAX_LIMIT, ListQuery
from cisisk.api.schemas.notice import NoticeOut
from cisisk.model.deployment import StepName
from cisisk.model.webhook import DeliveryState

_ERROR = "Not a URL such as https://192.0.2.20/cisisk, with http or https and without a user or a fragment"


def _validate_url(url: str) -> None:
    """Check that ``url`` is a valid http or https URL. Raises ValidationError."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        is_valid = is_valid and parts.port != 0 and bool(URL(url).host)
    except ValueError as error:
        raise ValidationError(_ERROR) from error
    if not is_valid or parts.fragment or not url.isprintable() or " " in url:
        raise ValidationError(_ERROR)


class WebhookIn(In):
    """A webhook as clients send it."""

    url = fields.String(required=True, validate=[text(2000), _validate_url], metadata={"format": "uri"})
    secret = fields.String(
        allow_none=True,
        load_only=True,
        validate=text(128),
        metadata={
            "format": "password",
            "description": "Key of the signatures: whsec_ and 24 to 64 bytes in Base64. If missing, one is"
            " generated and returned once",
        },
    )
    description = fields.String(allow_none=True, validate=LINE)
    steps = fields.List(
        fields.Enum(StepName, by_value=True),
        allow_none=True,
        load_default=list,
        validate=validate.Length(max=len(StepName)),
        metadata={"description": "Steps to send; empty for those that end a deployment"},
    )
    is_active = fields.Boolean(allow_none=True, load_default=True)


class WebhookOut(Schema):
    """A webhook, without its secret."""

    uuid = Uuid(required=True)
    url = fields.String(required=True)
    description = fields.String(required=True, allow_none=True)
    steps = fields.List(fields.Enum(StepName, by_value=True), required=True)
    is_active = fields.Boolean(required=True)
    created_at = TimestampField(required=True)
    updated_at = TimestampField(required=True)


class WebhookWithSecretOut(WebhookOut):
    """A webhook with its generated secret."""

    secret = fields.String(
        required=True, allow_none=True, metadata={"description": "Returned only once; null if none was generated"}
    )


class DeliveryQuery(ListQuery):
    """Query of a list of deliveries."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, MAX_LIMIT))


class DeliveryOut(Schema):
    """A message to a webhook."""

    uuid = Uuid(required=True, metadata={"description": "The webhook-id, the same for every attempt"})
    deployment = Uuid(required=True, allow_none=True, metadata={"description": "null for a test"})
    step = fields.Enum(StepName, by_value=True, required=True, allow_none=True)
    state = fields.Enum(DeliveryState, by_value=True, required=True)
    created_at = TimestampField(required=True)
    due_at = TimestampField(required=True, allow_none=True, metadata={"description": "Time of the next attempt"})
    tries = fields.Integer(required=True)
    tried_at = TimestampField(required=True, allow_none=True)
    status = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Status code of the last response"}
    )
    detail = fields.Nested(
        NoticeOut, required=True, allow_none=True, metadata={"description": "Result of the last attempt"}
    )
    reason = fields.Nested(
        NoticeOut,
        required=True,
        allow_none=True,
        metadata={"description": "Reason for giving up, if different from detail"},
    )
