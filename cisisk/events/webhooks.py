"""Webhooks: send the steps of deployments to receivers, and repeat a message until the receiver has taken it.

Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks): headers, signature, and the meaning of
answers.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
from aiohttp import hdrs

from cisisk.events.feed import Feed, FellBehind, Follower, written
from cisisk.model.clock import Timestamp, after, now
from cisisk.model.codes.webhook import DeliveryDetail, GiveUpReason
from cisisk.model.deployment import Step
from cisisk.model.errors import StorageFailed
from cisisk.model.notice import Notice
from cisisk.model.user import Actor
from cisisk.model.webhook import DeliveryState, Webhook, WebhookDelivery, key_of, new_secret, signature
from cisisk.store import steps
from cisisk.store import webhooks as store
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from cisisk.store.webhooks import Due, Tried, WebhookMessage

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_SECONDS = 3600.0
"""The longest Retry-After that is followed. A longer one must not silence a webhook for good."""
PENDING_AGE, ENDED_AGE = timedelta(days=1), timedelta(days=30)
"""Older deliveries are not sent any more, and are deleted."""
TRIM_SECONDS = 60.0

_UNAVAILABLE = {429, 502, 503, 504}
"""The receiver is overloaded, or cannot be reached: other messages would fail, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLimits:
    """Limits of webhooks. Times are in seconds.

    Attributes:
        max_webhooks: each reads every step and keeps deliveries of its own.
        max_pending: deliveries that wait for one webhook. Beyond that, further steps stay in the store.
        max_concurrent: messages that are sent at the same time, at most one to each webhook.
        max_steps: steps read at once.
        max_ended: ended deliveries kept for each webhook.
        answer_seconds: for the whole exchange. A receiver stores a message and processes it afterwards.
        retry_pauses: between one try and the next. After the last a delivery is given up, seven hours after the first.
        after_failure: after the store has failed. Otherwise a receiver gets the same message again and again, because
            its answer cannot be stored.
    """

    max_webhooks: int = store.MAX_WEBHOOKS
    max_pending: int = store.MAX_PENDING
    max_concurrent: int = 8
    max_steps: int = 500
    max_ended: int = 1000
    answer_seconds: float = 10.0
    retry_pauses: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0, 3600.0, 21600.0)
    after_failure: float = 30.0


DEFAULT_LIMITS = WebhookLimits()


@dataclass(frozen=True, slots=True)
class _Answer:
    """The result of one attempt.

    Attributes:
        status: None without an answer.
        retry_after: the seconds for which the receiver asks for no further attempt.
    """

    status: int | None
    detail: Notice
    retry_after: float = 0.0


def _outstanding(tx: Read) -> tuple[list[Webhook], dict[str, Timestamp]]:
    """Return the webhooks that have steps to consider, and when the next delivery of each webhook is due."""
    return store.behind(tx), store.waiting(tx)


def _news(tx: Read, webhook: Webhook, limits: WebhookLimits) -> list[Step]:
    """Return the next steps that a webhook has to consider, if it has room for their messages."""
    is_full = store.pending(tx, webhook.uuid) >= limits.max_pending
    return [] if is_full else steps.after(tx, webhook.considered, limits.max_steps)


def webhook_session(limits: WebhookLimits = DEFAULT_LIMITS) -> aiohttp.ClientSession:
    """Return the session for webhooks: no cookies, no proxy from the environment, no kept connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limits.max_concurrent, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=limits.answer_seconds),
        headers={hdrs.USER_AGENT: "Cisisk"},
        auto_decompress=False,
    )


class Webhooks:
    """The webhooks in ``db``. :meth:`run` sends the deliveries."""

    def __init__(
        self, db: Database, feed: Feed, client: aiohttp.ClientSession, limits: WebhookLimits = DEFAULT_LIMITS
    ) -> None:
        self._db = db
        self._limits = limits
        self._feed = feed
        self._client = client
        self._stirred = asyncio.Event()
        self._served: set[str] = set()
        self._slots = asyncio.Semaphore(limits.max_concurrent)
        self._trimmed_at = -TRIM_SECONDS

    async def create(self, actor: Actor, columns: Mapping[str, Any]) -> tuple[Webhook, str | None]:
        """Add a webhook. Returns it, and the secret that was made for it if it came without one.

        Raises:
            Invalid: the secret is malformed.
            Conflict: there are too many webhooks.
        """
        completed, made = _with_secret({"secret": None, **columns})
        return await self._db.write(store.create, actor, completed, self._limits.max_webhooks), made

    async def update(
        self, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
    ) -> tuple[Webhook, str | None]:
        """Change a webhook. A secret that is None is made anew and returned.

        Raises:
            NotFound, Stale: as the store.
            Invalid: the secret is malformed.
        """
        completed, made = _with_secret(columns)
        webhook = await self._db.write(store.update, actor, uuid, completed, seen)
        self._stirred.set()
        return webhook, made

    async def test(self, actor: Actor, uuid: str) -> WebhookDelivery:
        """Send a test message to a webhook. Raises NotFound, Conflict."""
        message = str(uuid4())
        body = _body(message, uuid, "webhook.test", now(), {})
        test = WebhookMessage(uuid=message, body=body)
        delivery = await self._db.write(store.add_test, actor, uuid, test, self._limits.max_pending)
        self._stirred.set()
        return delivery

    async def run(self) -> None:
        """Deliver, until cancelled. A message that is being sent then is sent again after the next start."""
        with self._feed.subscribe() as follower:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(follower))
                while True:
                    self._stirred.clear()
                    seconds = await self._round(tasks)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await self._stirred.wait()

    async def _listen(self, follower: Follower) -> None:
        """Start a round after each new step. The round reads the steps from the store."""
        while True:
            with suppress(FellBehind):
                await follower.news()
            self._stirred.set()

    async def _round(self, tasks: asyncio.TaskGroup) -> float:
        """Take up new steps and begin what is due. Returns the seconds until the next round."""
        try:
            behind, waiting = await self._db.read(_outstanding)
            for webhook in behind:
                # Sets the event that leads to the next round, which finds the new deliveries waiting.
                await self._take_up(webhook)
            await self._trim()
        except StorageFailed as error:
            log.warning("webhooks cannot be served: %s", error)
            return self._limits.after_failure
        seconds = TRIM_SECONDS
        for uuid, moment in waiting.items():
            if uuid in self._served:
                continue
            if (left := _seconds_until(moment)) > 0:
                seconds = min(seconds, left)
            else:
                self._served.add(uuid)
                tasks.create_task(self._serve(uuid))
        return seconds

    async def _take_up(self, webhook: Webhook) -> None:
        """Turn the next steps into messages, if there is room for them."""
        news = await self._db.read(_news, webhook, self._limits)
        if not news:
            return
        wanted = [step for step in news if webhook.wants(step)]
        oldest = after(-PENDING_AGE)
        timely = [step for step in wanted if step.at >= oldest]
        if len(timely) < len(wanted):
            log.warning("webhook %s: %d steps are too old to be sent", webhook.uuid, len(wanted) - len(timely))
        await self._db.write(store.take_up, webhook, news[-1].number, [_message(webhook, step) for step in timely])
        # There may be more, and the next webhook need not wait for it.
        self._stirred.set()

    async def _trim(self) -> None:
        if time.monotonic() - self._trimmed_at >= TRIM_SECONDS:
            # One webhook at a time: all of them together would block other reads and writes for a second.
            oldest = after(-PENDING_AGE)
            for uuid in await self._db.read(store.overdue, oldest):
                await self._db.write(store.give_up_old, uuid, oldest)
            for uuid in await self._db.read(store.all_uuids):
                if old := await self._db.read(store.expired, uuid, after(-ENDED_AGE), self._limits.max_ended):
                    await self._db.write(store.remove_deliveries, old)
            self._trimmed_at = time.monotonic()

    async def _serve(self, uuid: str) -> None:
        """Send what is due to one webhook, one message after the other."""
        try:
            while (due := await self._db.read(store.next_due, uuid, now())) is not None:
                async with self._slots:
                    answer = await self._send(due)
                await self._settle(due, answer)
        except StorageFailed as error:
            log.warning("webhook %s: the result of a delivery cannot be stored: %s", uuid, error)
            await asyncio.sleep(self._limits.after_failure)
        finally:
            self._served.discard(uuid)
            self._stirred.set()

    async def _settle(self, due: Due, answer: _Answer) -> None:
        if answer.status is not None and 200 <= answer.status < 300:
            await self._db.write(
                store.settle, due, Tried(state=DeliveryState.DELIVERED, status=answer.status, detail=answer.detail)
            )
            return
        is_gone = answer.status == 410
        waits_until = None
        if is_gone or due.tries >= len(self._limits.retry_pauses):
            log.warning("webhook %s: delivery %s is given up: %s", due.webhook, due.uuid, answer.detail)
            tried = Tried(state=DeliveryState.GIVEN_UP, status=answer.status, detail=answer.detail)
        else:
            log.info("webhook %s: delivery %s has failed: %s", due.webhook, due.uuid, answer.detail)
            due_at = after(timedelta(seconds=max(self._limits.retry_pauses[due.tries], answer.retry_after)))
            # A receiver that refuses a message may take others. For one that cannot be reached, they wait, in order.
            if answer.status is None or answer.status in _UNAVAILABLE:
                waits_until = due_at
            tried = Tried(
                state=DeliveryState.PENDING,
                status=answer.status,
                detail=answer.detail,
                due_at=due_at,
                waits_until=waits_until,
            )
        await self._db.write(store.settle, due, tried)
        if is_gone:
            log.warning("webhook %s is switched off: its receiver answered 410", due.webhook)
            await self._db.write(store.switch_off, due.webhook, GiveUpReason.GONE.notice())

    async def _send(self, due: Due) -> _Answer:
        body, seconds = due.body.encode(), int(time.time())
        headers = {
            hdrs.CONTENT_TYPE: "application/json",
            "webhook-id": due.uuid,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signature(due.secret, due.uuid, seconds, body),
        }
        try:
            # Only the head of the answer is read, and no redirect is followed: it could lead anywhere.
            async with self._client.post(due.url, data=body, headers=headers, allow_redirects=False) as response:
                detail = DeliveryDetail.ANSWERED.notice(status=response.status)
                return _Answer(response.status, detail, _retry_after(response.headers.get(hdrs.RETRY_AFTER, "")))
        except TimeoutError:
            return _Answer(None, DeliveryDetail.NO_ANSWER.notice(seconds=self._limits.answer_seconds))
        except aiohttp.ClientConnectorCertificateError:
            return _Answer(None, DeliveryDetail.CERTIFICATE.notice())
        except aiohttp.ClientConnectorError as error:
            return _Answer(None, DeliveryDetail.UNREACHABLE.notice(error=_reason(error.os_error)))
        except (aiohttp.ClientError, OSError, ValueError):
            # Their texts quote the URL, which may hold a key.
            return _Answer(None, DeliveryDetail.CLOSED.notice())


def _reason(error: OSError) -> str:
    """Return the system's text: asyncio has its own for a refusal, getaddrinfo for its own numbers."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or "no connection"


def _with_secret(columns: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the columns with a new secret if theirs is None, and that new secret."""
    if "secret" not in columns:
        return dict(columns), None
    if columns["secret"] is None:
        made = new_secret()
        return {**columns, "secret": made}, made
    key_of(columns["secret"])
    return dict(columns), None


def _message(webhook: Webhook, step: Step) -> WebhookMessage:
    uuid = str(uuid4())
    body = _body(uuid, webhook.uuid, f"deployment.{step.step}", step.at, written(step))
    return WebhookMessage(uuid=uuid, body=body, deployment=step.deployment, step=step.step)


def _body(uuid: str, webhook: str, kind: str, at: Timestamp, data: Mapping[str, Any]) -> str:
    """Return the body of a message, in the form that Standard Webhooks recommends."""
    return json.dumps({"type": kind, "timestamp": at, "id": uuid, "webhook": webhook, "data": data})


def _retry_after(retry_after: str) -> float:
    """Return the seconds of a Retry-After (RFC 9110 section 10.2.3), at most the limit; 0 for a date or nothing."""
    if not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    return min(float(retry_after[:9]), MAX_RETRY_AFTER_SECONDS)


def _seconds_until(moment: Timestamp) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()
