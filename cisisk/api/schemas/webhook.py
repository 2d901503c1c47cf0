"""Webhooks and their deliveries."""

from urllib.parse import urlsplit

from marshmallow import Schema, ValidationError, fields, validate
from yarl import URL

from cisisk.api.schemas.fields import LINE, In, TimestampField, Uuid, text
from cisisk.api.schemas.listing import MAX_LIMIT, ListQuery
from cisisk.api.schemas.notice import NoticeOut
from cisisk.model.deployment import StepName
from cisisk.model.webhook import DeliveryState

_WANTED = "Not a URL such as https://192.0.2.20/cisisk, with http or https and without a user or a fragment"


def _callable(url: str) -> None:
    """Accept what can be called over HTTP. Raises ValidationError."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        is_good = is_good and parts.port != 0 and bool(URL(url).host)
    except ValueError as error:
        raise ValidationError(_WANTED) from error
    if not is_good or parts.fragment or not url.isprintable() or " " in url:
        raise ValidationError(_WANTED)


class WebhookIn(In):
    """A URL that is called with what happens to switches."""

    url = fields.String(required=True, validate=[text(2000), _callable], metadata={"format": "uri"})
    secret = fields.String(
        allow_none=True,
        load_only=True,
        validate=text(128),
        metadata={
            "format": "password",
            "description": "The key of the signatures: whsec_ and 24 to 64 bytes in Base64. One is made if there is"
            " none, and shown once",
        },
    )
    description = fields.String(allow_none=True, validate=LINE)
    steps = fields.List(
        fields.Enum(StepName, by_value=True),
        allow_none=True,
        load_default=list,
        validate=validate.Length(max=len(StepName)),
        metadata={"description": "Which steps are sent; none for those that end a deployment"},
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
    """A webhook, with the secret that has just been made for it."""

    secret = fields.String(
        required=True, allow_none=True, metadata={"description": "Shown this once; null when none was made"}
    )


class DeliveryQuery(ListQuery):
    """Which deliveries are wanted."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, MAX_LIMIT))


class DeliveryOut(Schema):
    """One message to a webhook."""

    uuid = Uuid(required=True, metadata={"description": "The webhook-id, the same at every try"})
    deployment = Uuid(required=True, allow_none=True, metadata={"description": "null for a test"})
    step = fields.Enum(StepName, by_value=True, required=True, allow_none=True)
    state = fields.Enum(DeliveryState, by_value=True, required=True)
    created_at = TimestampField(required=True)
    due_at = TimestampField(required=True, allow_none=True, metadata={"description": "When it is tried next"})
    tries = fields.Integer(required=True)
    tried_at = TimestampField(required=True, allow_none=True)
    status = fields.Integer(required=True, allow_none=True, metadata={"description": "Of the last answer"})
    detail = fields.Nested(
        NoticeOut, required=True, allow_none=True, metadata={"description": "What came of the last try"}
    )
    reason = fields.Nested(
        NoticeOut, required=True, allow_none=True, metadata={"description": "Why it was given up, if detail is not why"}
    )
