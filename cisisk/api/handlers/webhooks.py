"""Handlers of webhooks and deliveries."""

from typing import Any

from aiohttp import web

from cisisk.api.context import WEBHOOKS, actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.webhook import DeliveryOut, DeliveryQuery, WebhookIn, WebhookOut, WebhookWithSecretOut
from cisisk.model.listing import Listing
from cisisk.model.webhook import Webhook
from cisisk.store import webhooks

_WEBHOOK, _DELIVERY = WebhookOut(), DeliveryOut()
_TAG = "Webhooks"


def _with_secret(webhook: Webhook, made: str | None) -> dict[str, Any]:
    return {**_WEBHOOK.dump(webhook), "secret": made}


@operation(summary="List webhooks", tag=_TAG, query=ListQuery(), data=WebhookOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /webhooks."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(webhooks.page, listing)
    return reply_page(request, "webhook(s) found", _WEBHOOK, page, listing)


@operation(summary="Show a webhook", tag=_TAG, data=WebhookOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /webhooks/{uuid}."""
    webhook = await database(request).read(webhooks.get, uuid_of(request))
    return reply(request, "Webhook found", _WEBHOOK.dump(webhook), version_of=webhook)


@operation(
    summary="Create a webhook",
    tag=_TAG,
    body=WebhookIn(),
    data=WebhookWithSecretOut(),
    status=201,
    errors=(409,),
    etag=True,
)
async def create(request: web.Request) -> web.Response:
    """POST /webhooks."""
    webhook, made = await request.config_dict[WEBHOOKS].create(actor(request), body_of(request))
    return reply(request, "Webhook created", _with_secret(webhook, made), status=201, version_of=webhook)


@operation(
    summary="Change a webhook",
    tag=_TAG,
    body=WebhookIn(partial=True),
    data=WebhookWithSecretOut(),
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /webhooks/{uuid}."""
    webhook, made = await request.config_dict[WEBHOOKS].update(
        actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Webhook updated", _with_secret(webhook, made), version_of=webhook)


@operation(summary="Delete a webhook", tag=_TAG, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /webhooks/{uuid}."""
    await database(request).write(webhooks.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Webhook deleted")


@operation(
    summary="List the deliveries of a webhook",
    tag=_TAG,
    query=DeliveryQuery(),
    data=DeliveryOut(many=True),
)
async def find_deliveries(request: web.Request) -> web.Response:
    """GET /webhooks/{uuid}/deliveries."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(webhooks.deliveries, uuid_of(request), listing)
    return reply_page(request, "delivery(ies) found", _DELIVERY, page, listing)


@operation(summary="Send a test delivery", tag=_TAG, data=DeliveryOut(), status=201, errors=(409,))
async def test(request: web.Request) -> web.Response:
    """POST /webhooks/{uuid}/test: the delivery shows the result."""
    delivery = await request.config_dict[WEBHOOKS].test(actor(request), uuid_of(request))
    return reply(request, "Test queued", _DELIVERY.dump(delivery), status=201)
