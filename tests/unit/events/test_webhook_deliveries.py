"""Deliveries of webhooks over real sockets, to working and failing receivers."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cisisk.events import webhooks as module
from cisisk.events.feed import Feed
from cisisk.events.webhooks import WebhookLimits, Webhooks, webhook_session
from cisisk.model.clock import after, now
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.webhook import DeliveryDetail
from cisisk.model.deployment import StepName
from cisisk.model.errors import Invalid, StorageFailed
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.messages import render
from cisisk.model.user import SYSTEM
from cisisk.model.webhook import DeliveryState, Webhook, WebhookDelivery
from cisisk.store import webhooks as store
from cisisk.store.database import Database
from cisisk.store.transaction import Write
from cisisk.store.webhooks import WebhookMessage
from tests.deployed import deployment, happened
from tests.patience import PATIENCE
from tests.receiver import Receiver

WRITTEN, FETCHED, REGISTERED = StepName.WRITTEN, StepName.FETCHED, StepName.REGISTERED
DELIVERED, PENDING, GIVEN_UP = DeliveryState.DELIVERED, DeliveryState.PENDING, DeliveryState.GIVEN_UP


QUICK = WebhookLimits(retry_pauses=(0.05, 0.05, 0.05))
"""Short pauses for tests."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


@asynccontextmanager
async def running(db: Database, feed: Feed | None = None, limits: WebhookLimits = QUICK) -> AsyncIterator[Webhooks]:
    feed = feed or Feed(db)
    async with webhook_session(limits) as client:
        webhooks = Webhooks(db, feed, client, limits)
        tasks = [asyncio.create_task(feed.run()), asyncio.create_task(webhooks.run())]
        try:
            yield webhooks
        finally:
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(ended, asyncio.CancelledError), ended


async def made(db: Database, receiver: Receiver, **columns: Any) -> Webhook:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    return await db.write(store.create, SYSTEM, {"url": receiver.url, "secret": secret, **columns})


async def deliveries(db: Database, webhook: Webhook) -> list[WebhookDelivery]:
    """Return the deliveries, oldest first."""
    return (await db.read(store.deliveries, webhook.uuid, Listing())).items[::-1]


async def settled(db: Database, webhook: Webhook, *states: DeliveryState) -> list[WebhookDelivery]:
    """Wait until the deliveries have these states, and return them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await deliveries(db, webhook)
            if tuple(each.state for each in found) == states:
                return found
            await asyncio.sleep(0.01)


async def tried(db: Database, webhook: Webhook) -> list[WebhookDelivery]:
    """Wait until the first delivery was tried; return all deliveries."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await deliveries(db, webhook)
            if found and found[0].tries:
                return found
            await asyncio.sleep(0.01)


async def test_webhook_message_follows_standard_webhooks(db: Database, receiver: Receiver, mac: Mac) -> None:
    feed = Feed(db)
    async with running(db, feed):
        webhook, uuid = await made(db, receiver), await deployment(db, mac)
        await happened(
            db, uuid, WRITTEN, FETCHED, ended=True, notice=ErrorKind.TEXT.notice(text="by 192.0.2.7, ümlaut")
        )
        feed.wake()
        [received] = await receiver.until(1)
        [delivery] = await settled(db, webhook, DELIVERED)
    assert received.path == "/webhook?key=s3ntinel"
    assert received.is_signed_with(webhook.secret)
    assert not received.is_signed_with("whsec_" + "A" * 32)
    assert abs(int(received.headers["webhook-timestamp"]) - datetime.now().timestamp()) < 60  # noqa: DTZ005 -- Unix time
    assert received.headers["Content-Type"] == "application/json"
    at = received.body["timestamp"]
    assert received.body == {
        "id": delivery.uuid,
        "webhook": webhook.uuid,
        "type": "deployment.fetched",
        "timestamp": at,
        "data": {
            "number": 2,
            "deployment": uuid,
            "mac": str(mac),
            "at": at,
            "step": "fetched",
            "state": "written",
            "ended": True,
            "message": render(ErrorKind.TEXT.notice(text="by 192.0.2.7, ümlaut")),
            "code": "text",
            "parameters": {"text": "by 192.0.2.7, ümlaut"},
        },
    }
    assert received.id == delivery.uuid
    assert (delivery.deployment, delivery.step, delivery.status, delivery.tries) == (uuid, FETCHED, 204, 1)


async def test_webhook_receives_only_its_steps(db: Database, receiver: Receiver, mac: Mac) -> None:
    some = await made(db, receiver, steps=[WRITTEN, REGISTERED])
    ends = await made(db, receiver)
    uuid = await deployment(db, mac)
    await happened(db, uuid, WRITTEN, FETCHED, REGISTERED, ended=True)
    async with running(db):
        assert [each.step for each in await settled(db, some, DELIVERED, DELIVERED)] == [WRITTEN, REGISTERED]
        assert [each.step for each in await settled(db, ends, DELIVERED)] == [REGISTERED]


@pytest.mark.parametrize("status", [500, 404, 302, 503, 429])
async def test_refused_message_is_repeated_with_a_new_signature(
    db: Database, receiver: Receiver, mac: Mac, status: int
) -> None:
    receiver.script, receiver.headers = [status, status], {"Location": "/elsewhere"}
    webhook, uuid = await made(db, receiver), await deployment(db, mac)
    await happened(db, uuid, FETCHED, ended=True)
    async with running(db):
        received = await receiver.until(3)
        [delivery] = await settled(db, webhook, DELIVERED)
    assert {each.path for each in received} == {"/webhook?key=s3ntinel"}
    assert {(each.id, each.content) for each in received} == {(delivery.uuid, received[0].content)}
    assert all(each.is_signed_with(webhook.secret) for each in received)
    assert (delivery.tries, delivery.status, delivery.detail) == (3, 204, DeliveryDetail.ANSWERED.notice(status=204))


async def test_refused_message_does_not_block_others(db: Database, receiver: Receiver, mac: Mac) -> None:
    receiver.status_of = lambda request: 500 if request.body["data"]["number"] == 1 else 204
    webhook, uuid = await made(db, receiver, steps=list(StepName)), await deployment(db, mac)
    await happened(db, uuid, WRITTEN, WRITTEN, WRITTEN)
    async with running(db):
        found = await settled(db, webhook, GIVEN_UP, DELIVERED, DELIVERED)
    assert (found[0].tries, found[0].detail) == (4, DeliveryDetail.ANSWERED.notice(status=500))


async def test_messages_keep_their_order_while_the_receiver_is_unavailable(
    db: Database, receiver: Receiver, mac: Mac
) -> None:
    receiver.script = [503, 502]
    webhook, uuid = await made(db, receiver, steps=list(StepName)), await deployment(db, mac)
    await happened(db, uuid, *[WRITTEN] * 4)
    async with running(db):
        received = await receiver.until(6)
        await settled(db, webhook, *[DELIVERED] * 4)
    assert [each.body["data"]["number"] for each in received] == [1, 1, 1, 2, 3, 4]
    assert receiver.most_at_once == 1


async def test_absent_receiver_is_tried_until_it_answers(db: Database, receiver: Receiver, mac: Mac) -> None:
    webhook, uuid = await made(db, receiver), await deployment(db, mac)
    await receiver.__aexit__()
    await happened(db, uuid, FETCHED, ended=True)
    async with running(db):
        found = await tried(db, webhook)
        assert found[0].detail == DeliveryDetail.UNREACHABLE.notice(error="Connection refused")
        await receiver.__aenter__()
        await settled(db, webhook, DELIVERED)


async def test_silent_receiver_times_out(db: Database, receiver: Receiver, mac: Mac) -> None:
    receiver.script = [0]
    webhook, uuid = await made(db, receiver), await deployment(db, mac)
    await happened(db, uuid, FETCHED, ended=True)
    async with running(db, limits=replace(QUICK, answer_seconds=0.1)):
        await receiver.until(2)
        [delivery] = await settled(db, webhook, DELIVERED)
    assert delivery.tries == 2


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000])
async def test_malformed_answer_counts_as_none(
    db: Database, receiver: Receiver, mac: Mac, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        receiver.port = server.sockets[0].getsockname()[1]
        webhook, uuid = await made(db, receiver), await deployment(db, mac)
        await happened(db, uuid, FETCHED, ended=True)
        async with running(db):
            [delivery] = await settled(db, webhook, GIVEN_UP)
    assert (delivery.status, delivery.detail) == (None, DeliveryDetail.CLOSED.notice())
    assert "given up" in caplog.text
    assert "s3ntinel" not in caplog.text
    assert webhook.secret not in caplog.text


async def test_endless_answer_is_not_read(db: Database, receiver: Receiver, mac: Mac) -> None:
    taken = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                taken += 65536
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        receiver.port = server.sockets[0].getsockname()[1]
        webhook, uuid = await made(db, receiver), await deployment(db, mac)
        await happened(db, uuid, FETCHED, ended=True)
        async with running(db):
            await settled(db, webhook, DELIVERED)
    assert taken < 32 << 20


async def test_receiver_that_answers_410_is_switched_off(db: Database, receiver: Receiver, mac: Mac) -> None:
    receiver.script = [410]
    webhook, uuid = await made(db, receiver, steps=list(StepName)), await deployment(db, mac)
    await happened(db, uuid, WRITTEN, FETCHED)
    async with running(db):
        await settled(db, webhook, GIVEN_UP, GIVEN_UP)
    assert not (await db.read(store.get, webhook.uuid)).is_active
    assert len(receiver.received) == 1


async def test_retry_after_delays_the_next_attempt(db: Database, receiver: Receiver, mac: Mac) -> None:
    receiver.script, receiver.headers = [503], {"Retry-After": "120"}
    webhook, uuid = await made(db, receiver), await deployment(db, mac)
    await happened(db, uuid, FETCHED, ended=True)
    async with running(db) as webhooks:
        found = await tried(db, webhook)
        assert found[0].due_at is not None
        assert after(timedelta(seconds=60)) < found[0].due_at < after(timedelta(seconds=121))
        # A test of the webhook must not wait.
        await webhooks.test(SYSTEM, webhook.uuid)
        received = await receiver.until(3)
    assert [each.body["type"] for each in received] == ["deployment.fetched", "deployment.fetched", "webhook.test"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 0), ("7", 7), ("9" * 40, 3600), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-1", 0), ("²", 0)],
)
def test_retry_after_is_limited(text: str, seconds: float) -> None:
    assert module._retry_after(text) == seconds


async def test_undelivered_message_is_delivered_after_a_restart(db: Database, receiver: Receiver, mac: Mac) -> None:
    receiver.script = [0]
    webhook, uuid = await made(db, receiver, steps=list(StepName)), await deployment(db, mac)
    await happened(db, uuid, WRITTEN)
    async with running(db):
        await receiver.until(1)
    await happened(db, uuid, FETCHED)
    async with running(db):
        await settled(db, webhook, DELIVERED, DELIVERED)
    assert receiver.received[0].id == receiver.received[1].id
    assert [each.body["data"]["number"] for each in receiver.received] == [1, 1, 2]


async def test_slow_receiver_does_not_delay_others(db: Database, receiver: Receiver, mac: Mac) -> None:
    async with Receiver(script=[0]) as slow:
        stuck, webhook = await made(db, slow, steps=list(StepName)), await made(db, receiver, steps=list(StepName))
        uuid = await deployment(db, mac)
        await happened(db, uuid, *[WRITTEN] * 20)
        async with running(db):
            await settled(db, webhook, *[DELIVERED] * 20)
            assert {each.state for each in await deliveries(db, stuck)} == {PENDING}
        assert len(slow.received) == 1


async def test_concurrent_messages_are_limited(db: Database, receiver: Receiver, mac: Mac) -> None:
    webhooks = [await made(db, receiver, steps=list(StepName)) for _ in range(5)]
    uuid = await deployment(db, mac)
    await happened(db, uuid, *[WRITTEN] * 10)
    receiver.script = [0] * 50
    async with running(db, limits=replace(QUICK, max_concurrent=2)):
        await receiver.until(2)
        await asyncio.sleep(0.1)
        assert len(receiver.received) == 2
        receiver.answer()
        for webhook in webhooks:
            await settled(db, webhook, *[DELIVERED] * 10)
    assert len(receiver.received) == 50
    assert receiver.most_at_once == 2


async def test_pending_deliveries_are_limited(db: Database, receiver: Receiver, mac: Mac) -> None:
    limits = replace(QUICK, max_pending=10, max_steps=5)
    receiver.script = [0]
    webhook, uuid = await made(db, receiver, steps=list(StepName)), await deployment(db, mac)
    await happened(db, uuid, *[WRITTEN] * 40)
    async with running(db, limits=limits):
        await receiver.until(1)
        await asyncio.sleep(0.05)
        assert await db.read(store.pending, webhook.uuid) == 10
    async with running(db, limits=limits):
        await settled(db, webhook, *[DELIVERED] * 40)
    assert [each.body["data"]["number"] for each in receiver.received[1:]] == list(range(1, 41))


async def test_day_old_steps_are_not_sent(
    db: Database, receiver: Receiver, mac: Mac, caplog: pytest.LogCaptureFixture
) -> None:
    webhook, uuid = await made(db, receiver, steps=list(StepName)), await deployment(db, mac)
    await happened(db, uuid, WRITTEN, at=after(-timedelta(days=2)))
    await happened(db, uuid, FETCHED, at=now())
    async with running(db):
        assert [each.step for each in await settled(db, webhook, DELIVERED)] == [FETCHED]
    assert "1 steps are too old" in caplog.text


async def test_trim_removes_deliveries_of_one_webhook_per_write(
    db: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = store.remove_deliveries
    removed: list[int] = []

    def counted(tx: Write, numbers: list[int]) -> None:
        remove(tx, numbers)
        removed.append(len(numbers))

    webhooks = await made(db, receiver), await made(db, receiver)
    for webhook in webhooks:
        for _ in range(3):
            await db.write(store.add_test, SYSTEM, webhook.uuid, WebhookMessage(uuid=str(uuid4()), body="{}"))
        await db.write(store.update, SYSTEM, webhook.uuid, {"is_active": False})
    monkeypatch.setattr(store, "remove_deliveries", counted)
    async with running(db, limits=replace(QUICK, max_ended=1)):
        for webhook in webhooks:
            await settled(db, webhook, GIVEN_UP)
    assert removed == [2, 2]


async def test_new_or_changed_webhook_is_served(db: Database, receiver: Receiver, mac: Mac) -> None:
    feed = Feed(db)
    async with running(db, feed) as webhooks:
        webhook, secret = await webhooks.create(SYSTEM, {"url": "http://127.0.0.1:1/", "steps": list(StepName)})
        assert secret is not None
        uuid = await deployment(db, mac)
        await happened(db, uuid, WRITTEN)
        feed.wake()
        await tried(db, webhook)
        _, other = await webhooks.update(SYSTEM, webhook.uuid, {"url": receiver.url, "secret": None})
        assert other not in (None, secret)
        [received] = await receiver.until(1)
        assert received.is_signed_with(str(other))
        _, none = await webhooks.update(SYSTEM, webhook.uuid, {"secret": secret})
        assert none is None
        with pytest.raises(Invalid):
            await webhooks.update(SYSTEM, webhook.uuid, {"secret": "short"})


async def test_deliveries_continue_after_a_store_failure(
    db: Database, receiver: Receiver, mac: Mac, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, failures = store.settle, 2

    def failing(*arguments: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise StorageFailed("The change could not be stored: disk full")
        settle(*arguments)

    monkeypatch.setattr(store, "settle", failing)
    webhook, uuid = await made(db, receiver), await deployment(db, mac)
    await happened(db, uuid, FETCHED, ended=True)
    async with running(db, limits=replace(QUICK, after_failure=0.05)):
        await settled(db, webhook, DELIVERED)
    assert len({each.id for each in receiver.received}) == 1
    assert len(receiver.received) == 3


@pytest.mark.needs("openssl")
async def test_untrusted_certificate_is_refused(db: Database, receiver: Receiver, mac: Mac, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    await asyncio.to_thread(
        subprocess.run, [*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        webhook = await db.write(store.create, SYSTEM, {"url": f"https://127.0.0.1:{port}/", "secret": secret})
        uuid = await deployment(db, mac)
        await happened(db, uuid, FETCHED, ended=True)
        async with running(db):
            [delivery] = await settled(db, webhook, GIVEN_UP)
    assert delivery.detail == DeliveryDetail.CERTIFICATE.notice()
