"""Webhooks in the store: considered steps, deliveries and their removal."""

from typing import Any
from uuid import uuid4

import pytest

from cisisk.model.codes.webhook import DeliveryDetail, GiveUpReason
from cisisk.model.deployment import StepName
from cisisk.model.errors import Conflict, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor
from cisisk.model.webhook import DeliveryState, Webhook, WebhookDelivery, new_secret
from cisisk.store import webhooks as store
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from cisisk.store.webhooks import Due, Tried, WebhookMessage
from tests.deployed import deployment, happened
from tests.unit.store.conftest import LastEntry

SECRET = new_secret()
URL = "https://receiver.example/s3ntinel-path"
LONG_AGO, IN_FUTURE = "2000-01-01T00:00:00.000Z", "2999-01-01T00:00:00.000Z"
DELIVERED, PENDING, GIVEN_UP = DeliveryState.DELIVERED, DeliveryState.PENDING, DeliveryState.GIVEN_UP

SILENT = DeliveryDetail.NO_ANSWER.notice(seconds=10)


def answered(status: int) -> Notice:
    return DeliveryDetail.ANSWERED.notice(status=status)


async def made(db: Database, actor: Actor, **columns: Any) -> Webhook:
    return await db.write(store.create, actor, {"url": URL, "secret": SECRET, **columns})


async def owed(db: Database, webhook: Webhook, *bodies: str) -> None:
    """Add pending deliveries with these bodies."""
    current = await db.read(store.get, webhook.uuid)
    messages = [WebhookMessage(uuid=str(uuid4()), body=body, deployment="d", step=StepName.FETCHED) for body in bodies]
    await db.write(store.take_up, current, current.considered, messages)


async def due(db: Database, webhook: Webhook, moment: str = IN_FUTURE) -> Due:
    found = await db.read(store.next_due, webhook.uuid, moment)
    assert found is not None
    return found


async def listed(db: Database, webhook: Webhook) -> list[WebhookDelivery]:
    """Return the deliveries of a webhook, the oldest first."""
    return (await db.read(store.deliveries, webhook.uuid, Listing())).items[::-1]


async def test_webhook_is_created_changed_and_deleted(db: Database, actor: Actor, last_entry: LastEntry) -> None:
    webhook = await made(db, actor, description="desk", steps=[StepName.FETCHED, StepName.WRITTEN, StepName.FETCHED])
    assert webhook == await db.read(store.get, webhook.uuid)
    assert (webhook.url, webhook.secret, webhook.description, webhook.is_active) == (URL, SECRET, "desk", True)
    assert webhook.steps == (StepName.WRITTEN, StepName.FETCHED)
    changed = await db.write(store.update, actor, webhook.uuid, {"steps": None, "description": None})
    assert (changed.steps, changed.description, changed.revision) == ((), None, 2)
    await db.write(store.delete, actor, webhook.uuid)
    with pytest.raises(NotFound, match="Webhook not found"):
        await db.read(store.get, webhook.uuid)
    assert (await last_entry()).action == "webhook.deleted"


async def test_audit_names_host_without_path_and_secret(db: Database, actor: Actor, last_entry: LastEntry) -> None:
    webhook = await made(db, actor)
    for change in ({}, {"secret": new_secret()}, {"url": URL + "?s3ntinel"}):
        webhook = await db.write(store.update, actor, webhook.uuid, change)
        entry = await last_entry()
        assert entry.payload["host"] == "receiver.example"
        assert "s3ntinel" not in str(entry)
        assert webhook.secret not in str(entry)
    assert SECRET not in repr(webhook)
    assert webhook.secret not in repr(webhook)


async def test_change_of_stale_webhook_is_refused(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    changed = await db.write(store.update, actor, webhook.uuid, {"description": "x"}, {entity_tag(webhook)})
    with pytest.raises(Stale):
        await db.write(store.update, actor, webhook.uuid, {"description": "y"}, {entity_tag(webhook)})
    with pytest.raises(Stale):
        await db.write(store.delete, actor, webhook.uuid, {entity_tag(webhook)})
    await db.write(store.delete, actor, webhook.uuid, {entity_tag(changed)})


async def test_webhooks_have_a_limit(db: Database, actor: Actor) -> None:
    await made(db, actor)
    await made(db, actor)
    with pytest.raises(Conflict, match="2 webhooks"):
        await db.write(store.create, actor, {"url": URL, "secret": SECRET}, maximum=2)


async def test_new_webhook_gets_later_steps_only(db: Database, actor: Actor, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    await happened(db, uuid, StepName.RECORDED, StepName.WRITTEN)
    webhook = await made(db, actor)
    assert (webhook.considered, await db.read(store.behind)) == (2, [])
    await happened(db, uuid, StepName.FETCHED)
    assert await db.read(store.behind) == [webhook]
    await db.write(store.take_up, webhook, 3, [])
    assert await db.read(store.behind) == []


async def test_changed_webhook_considers_steps_again(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    await db.write(store.update, actor, webhook.uuid, {"description": "x"})
    await db.write(store.take_up, webhook, 9, [WebhookMessage(uuid="m", body="{}")])
    assert (await db.read(store.get, webhook.uuid)).considered == 0
    assert await listed(db, webhook) == []


async def test_oldest_due_delivery_comes_first_at_its_time(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    assert await db.read(store.next_due, webhook.uuid, IN_FUTURE) is None
    assert await db.read(store.waiting) == {}
    await owed(db, webhook, "one", "two")
    first = await due(db, webhook)
    assert (first.body, first.tries, first.url, first.secret) == ("one", 0, URL, SECRET)
    assert URL not in repr(first)
    assert SECRET not in repr(first)
    refused = Tried(state=PENDING, status=500, detail=answered(500), due_at="2998-01-01T00:00:00.000Z")
    await db.write(store.settle, first, refused)
    assert (await due(db, webhook, "2997-01-01T00:00:00.000Z")).body == "two"
    assert (await due(db, webhook)).body == "one"
    assert (await due(db, webhook)).tries == 1
    [one, two] = await listed(db, webhook)
    assert (one.state, one.status, one.detail, one.due_at) == (PENDING, 500, refused.detail, refused.due_at)
    assert one.tried_at is not None
    assert (two.state, two.status, two.tries, two.tried_at) == (PENDING, None, 0, None)
    assert (await db.read(store.waiting))[webhook.uuid] == two.due_at


async def test_unreachable_receiver_defers_all_deliveries(db: Database, actor: Actor) -> None:
    webhook, other = await made(db, actor), await made(db, actor)
    await owed(db, webhook, "one", "two")
    await owed(db, other, "three")
    until = "2998-01-01T00:00:00.000Z"
    away = Tried(state=PENDING, status=None, detail=SILENT, due_at=until, waits_until=until)
    await db.write(store.settle, await due(db, webhook), away)
    assert await db.read(store.next_due, webhook.uuid, "2997-01-01T00:00:00.000Z") is None
    assert (await db.read(store.waiting))[webhook.uuid] == until
    assert (await due(db, other, "2997-01-01T00:00:00.000Z")).body == "three"
    assert (await due(db, webhook)).body == "one"
    await db.write(
        store.settle,
        await due(db, webhook),
        Tried(state=DELIVERED, status=204, detail=answered(204)),
    )
    assert (await due(db, webhook, "2997-01-01T00:00:00.000Z")).body == "two"


async def test_update_makes_pending_deliveries_due(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    await owed(db, webhook, "one")
    away = Tried(
        state=PENDING,
        status=None,
        detail=SILENT,
        due_at=IN_FUTURE,
        waits_until=IN_FUTURE,
    )
    await db.write(store.settle, await due(db, webhook), away)
    await db.write(store.update, actor, webhook.uuid, {"url": "http://elsewhere.example/"})
    moment = (await db.read(store.waiting))[webhook.uuid]
    assert (await due(db, webhook, moment)).url == "http://elsewhere.example/"


async def test_deactivation_gives_up_pending_deliveries(db: Database, actor: Actor, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    webhook = await made(db, actor)
    await owed(db, webhook, "one")
    in_flight = await due(db, webhook)
    await db.write(store.update, actor, webhook.uuid, {"is_active": False})
    await happened(db, uuid, StepName.WRITTEN)
    assert (await db.read(store.behind), await db.read(store.waiting)) == ([], {})
    assert await db.read(store.next_due, webhook.uuid, IN_FUTURE) is None
    failed = Tried(state=PENDING, status=500, detail=answered(500), due_at=LONG_AGO)
    await db.write(store.settle, in_flight, failed)
    [called_off] = await listed(db, webhook)
    assert (called_off.state, called_off.reason) == (GIVEN_UP, GiveUpReason.SWITCHED_OFF.notice())
    on_again = await db.write(store.update, actor, webhook.uuid, {"is_active": True})
    assert (on_again.considered, await db.read(store.behind)) == (1, [])


async def test_given_up_delivery_that_arrives_is_delivered(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    await owed(db, webhook, "one")
    in_flight = await due(db, webhook)
    await db.write(store.update, actor, webhook.uuid, {"is_active": False})
    await db.write(store.settle, in_flight, Tried(state=DELIVERED, status=200, detail=answered(200)))
    assert [each.state for each in await listed(db, webhook)] == [DELIVERED]


async def test_given_up_delivery_is_audited(db: Database, actor: Actor, last_entry: LastEntry) -> None:
    webhook = await made(db, actor)
    await owed(db, webhook, "one")
    message = await due(db, webhook)
    await db.write(store.settle, message, Tried(state=GIVEN_UP, status=500, detail=answered(500)))
    entry = await last_entry()
    assert (entry.action, entry.entity_uuid, entry.user_uuid) == ("webhook.given_up", webhook.uuid, None)
    assert entry.payload == {"delivery": message.uuid, "detail": answered(500).plain()}


async def test_webhook_is_deactivated_at_request_of_receiver(db: Database, actor: Actor, last_entry: LastEntry) -> None:
    webhook = await made(db, actor)
    await owed(db, webhook, "one", "two")
    await db.write(store.switch_off, webhook.uuid, GiveUpReason.GONE.notice())
    switched_off = await db.read(store.get, webhook.uuid)
    assert (switched_off.is_active, switched_off.revision) == (False, 2)
    assert {each.state for each in await listed(db, webhook)} == {GIVEN_UP}
    assert (await last_entry()).action == "webhook.switched_off"
    await db.write(store.switch_off, webhook.uuid, GiveUpReason.GONE.notice())
    assert (await db.read(store.get, webhook.uuid)).revision == 2


async def test_test_message_follows_pending_deliveries_at_once(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    await owed(db, webhook, "one")
    away = Tried(
        state=PENDING,
        status=None,
        detail=SILENT,
        due_at=IN_FUTURE,
        waits_until=IN_FUTURE,
    )
    await db.write(store.settle, await due(db, webhook), away)
    test = await db.write(store.add_test, actor, webhook.uuid, WebhookMessage(uuid=str(uuid4()), body="test"))
    assert (test.deployment, test.step, test.state) == (None, None, PENDING)
    assert (await due(db, webhook, (await db.read(store.waiting))[webhook.uuid])).body == "one"
    with pytest.raises(Conflict, match="2 deliveries wait"):
        await db.write(
            store.add_test, actor, webhook.uuid, WebhookMessage(uuid=str(uuid4()), body="test"), max_pending=2
        )
    await db.write(store.update, actor, webhook.uuid, {"is_active": False})
    with pytest.raises(Conflict, match="switched off"):
        await db.write(store.add_test, actor, webhook.uuid, WebhookMessage(uuid=str(uuid4()), body="test"))


async def test_old_deliveries_are_given_up_and_deleted(db: Database, actor: Actor, last_entry: LastEntry) -> None:
    webhook, other = await made(db, actor), await made(db, actor)
    await owed(db, webhook, *"abcdef")
    await owed(db, other, "g")
    for _ in range(3):
        await db.write(store.settle, await due(db, webhook), Tried(state=DELIVERED, status=200, detail=answered(200)))
    assert await db.read(store.overdue, LONG_AGO) == []
    await db.write(store.give_up_old, webhook.uuid, LONG_AGO)
    assert (await last_entry()).action == "webhook.created"
    assert set(await db.read(store.all_uuids)) == {webhook.uuid, other.uuid}
    await db.write(store.remove_deliveries, await db.read(store.expired, webhook.uuid, LONG_AGO, 2))
    assert [each.state for each in await listed(db, webhook)] == [DELIVERED] * 2 + [PENDING] * 3
    assert set(await db.read(store.overdue, IN_FUTURE)) == {webhook.uuid, other.uuid}
    await db.write(store.give_up_old, webhook.uuid, IN_FUTURE)
    assert [each.state for each in await listed(db, webhook)] == [DELIVERED] * 2 + [GIVEN_UP] * 3
    assert (await last_entry()).payload["deliveries"] == 3
    await db.write(store.remove_deliveries, await db.read(store.expired, webhook.uuid, IN_FUTURE, 9))
    assert await listed(db, webhook) == []
    assert [each.state for each in await listed(db, other)] == [PENDING]


async def test_deliveries_are_deleted_with_their_webhook(db: Database, actor: Actor) -> None:
    webhook = await made(db, actor)
    await owed(db, webhook, "one")
    in_flight = await due(db, webhook)
    await db.write(store.delete, actor, webhook.uuid)
    assert await db.read(Read.rows, "SELECT 1 FROM webhook_deliveries") == []
    await db.write(store.settle, in_flight, Tried(state=GIVEN_UP, status=500, detail=answered(500)))
    with pytest.raises(NotFound):
        await db.read(store.deliveries, webhook.uuid, Listing())
