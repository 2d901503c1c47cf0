"""Webhooks and their deliveries."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.codes.webhook import GiveUpReason
from cisisk.model.deployment import StepName
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.notice import Notice
from cisisk.model.revision import require_current
from cisisk.model.user import SYSTEM, Actor
from cisisk.model.webhook import DeliveryState, Webhook, WebhookDelivery
from cisisk.store import audit
from cisisk.store.changes import change
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

MAX_WEBHOOKS = 50
"""Limit of webhooks: each reads every step and has its own deliveries."""
MAX_PENDING = 1000
"""Limit of pending deliveries per webhook; further steps are read once there is room."""

_SELECT = (
    "SELECT uuid, url, secret, description, steps, is_active, considered, created_at, updated_at, revision"
    " FROM webhooks"
)
_SELECT_DELIVERY = (
    "SELECT uuid, deployment, step, state, created_at, due_at, tries, tried_at, status, detail, reason"
    " FROM webhook_deliveries"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookMessage:
    """A message for a webhook; ``deployment`` and ``step`` are None in a test message."""

    uuid: str
    body: str = field(repr=False)
    deployment: str | None = None
    step: StepName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that is due. ``tries`` counts its failed attempts."""

    number: int
    uuid: str
    body: str = field(repr=False)
    tries: int
    webhook: str
    url: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The outcome of an attempt to deliver.

    Attributes:
        due_at: when to send it again; None unless it is pending.
        waits_until: the receiver is unreachable: send no other message before this time.
    """

    state: DeliveryState
    status: int | None
    detail: Notice
    due_at: Timestamp | None = None
    waits_until: Timestamp | None = None


def _webhook(row: sqlite3.Row) -> Webhook:
    steps = tuple(StepName(name) for name in json.loads(row["steps"]))
    return Webhook(**{**dict(row), "steps": steps, "is_active": bool(row["is_active"])})


def _delivery(row: sqlite3.Row) -> WebhookDelivery:
    step = StepName(row["step"]) if row["step"] else None
    notices = {name: Notice.from_json(row[name]) for name in ("detail", "reason") if row[name]}
    return WebhookDelivery(**{**dict(row), **notices, "step": step, "state": DeliveryState(row["state"])})


_WEBHOOKS = ListSource(
    select=_SELECT,
    searched=("url", "description"),
    sortable=("url", "is_active", "created_at", "updated_at"),
    order="created_at, uuid",
    item=_webhook,
)
_DELIVERIES = ListSource(
    select=_SELECT_DELIVERY,
    searched=("deployment", "step", "state", "detail", "reason"),
    sortable=("created_at", "state", "step", "tries"),
    order="number DESC",
    item=_delivery,
)


def page(tx: Read, listing: Listing) -> Page[Webhook]:
    """Return the webhooks, the oldest first."""
    return _WEBHOOKS.page(tx, listing)


def get(tx: Read, uuid: str) -> Webhook:
    """Return one webhook. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Webhook not found")
    return _webhook(row)


def create(tx: Write, actor: Actor, columns: Mapping[str, Any], maximum: int = MAX_WEBHOOKS) -> Webhook:
    """Add a webhook, which gets the steps from now on. Raises Conflict: there are too many."""
    counted = tx.row("SELECT COUNT(*) AS total FROM webhooks")
    if counted and counted["total"] >= maximum:
        raise Conflict(f"There are {maximum} webhooks already. Delete one first")
    uuid, moment = str(uuid4()), now()
    tx.rows(
        "INSERT INTO webhooks (uuid, url, secret, description, steps, is_active, created_at, updated_at,"
        " considered) SELECT ?, ?, ?, ?, ?, ?, ?, ?, COALESCE(MAX(number), 0) FROM deployment_steps",
        (
            uuid,
            columns["url"],
            columns["secret"],
            columns.get("description"),
            _names(columns.get("steps") or ()),
            columns.get("is_active", True),
            moment,
            moment,
        ),
    )
    audit.record(tx, actor, "webhook.created", uuid, {"host": _host(columns["url"])})
    return get(tx, uuid)


def update(
    tx: Write, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
) -> Webhook:
    """Change the given columns.

    Deactivation gives up all pending deliveries. After activation, the webhook gets the steps from then on. Pending
    deliveries become due at once.

    Raises:
        NotFound: there is no such webhook.
        Stale: the version is not in ``seen``.
    """
    before = get(tx, uuid)
    require_current(before, seen)
    changed = {**columns, "updated_at": now()}
    if "steps" in columns:
        changed["steps"] = _names(columns["steps"] or ())
    change(tx, "webhooks", ("uuid", uuid), changed)
    after = get(tx, uuid)
    if before.is_active and not after.is_active:
        _give_up(tx, uuid, GiveUpReason.SWITCHED_OFF.notice())
    if after.is_active and not before.is_active:
        tx.rows(
            "UPDATE webhooks SET considered = (SELECT COALESCE(MAX(number), 0) FROM deployment_steps) WHERE uuid = ?",
            (uuid,),
        )
    _wait_no_longer(tx, uuid)
    audit.record(tx, actor, "webhook.updated", uuid, {"changed": sorted(columns), "host": _host(after.url)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a webhook and its deliveries. Raises NotFound, Stale."""
    webhook = get(tx, uuid)
    require_current(webhook, seen)
    tx.rows("DELETE FROM webhooks WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "webhook.deleted", uuid, {"host": _host(webhook.url)})


def deliveries(tx: Read, uuid: str, listing: Listing) -> Page[WebhookDelivery]:
    """Return the stored deliveries of a webhook, the newest first. Raises NotFound."""
    get(tx, uuid)
    return _DELIVERIES.page(tx, listing, "webhook = ?", (uuid,))


def add_test(
    tx: Write, actor: Actor, uuid: str, message: WebhookMessage, max_pending: int = MAX_PENDING
) -> WebhookDelivery:
    """Add a test message after the pending deliveries, which become due at once; return its delivery.

    Raises:
        NotFound: there is no such webhook.
        Conflict: it is inactive, or has too many pending deliveries.
    """
    webhook = get(tx, uuid)
    if not webhook.is_active:
        raise Conflict("The webhook is switched off. Set is_active first")
    if pending(tx, uuid) >= max_pending:
        raise Conflict(f"{max_pending} deliveries wait for this webhook already")
    _wait_no_longer(tx, uuid)
    _insert(tx, uuid, [message])
    audit.record(tx, actor, "webhook.tested", uuid, {"host": _host(webhook.url)})
    [row] = tx.rows(f"{_SELECT_DELIVERY} WHERE uuid = ?", (message.uuid,))
    return _delivery(row)


def behind(tx: Read) -> list[Webhook]:
    """Return the active webhooks that have not considered the latest steps."""
    rows = tx.rows(
        f"{_SELECT} WHERE is_active AND considered <"  # noqa: S608 -- own columns only
        " (SELECT MAX(number) FROM deployment_steps) ORDER BY created_at"
    )
    return [_webhook(row) for row in rows]


def pending(tx: Read, uuid: str) -> int:
    """Return the number of pending deliveries of a webhook."""
    row = tx.row("SELECT COUNT(*) AS total FROM webhook_deliveries WHERE webhook = ? AND due_at IS NOT NULL", (uuid,))
    return int(row["total"]) if row else 0


def take_up(tx: Write, webhook: Webhook, number: int, messages: Iterable[WebhookMessage]) -> None:
    """Record that a webhook has considered the steps up to ``number``, and add its messages.

    Do nothing if the webhook has changed since: it then considers the steps again.
    """
    taken = tx.rows(
        "UPDATE webhooks SET considered = ? WHERE uuid = ? AND is_active AND considered = ? AND revision = ?"
        " RETURNING uuid",
        (number, webhook.uuid, webhook.considered, webhook.revision),
    )
    if taken:
        _insert(tx, webhook.uuid, messages)


def waiting(tx: Read) -> dict[str, Timestamp]:
    """Return when the next delivery of each webhook is due, by the webhook's uuid."""
    rows = tx.rows(
        "SELECT uuid, MAX(due_at, COALESCE(waits_until, '')) AS moment FROM (SELECT uuid, waits_until,"
        " (SELECT MIN(due_at) FROM webhook_deliveries WHERE webhook = webhooks.uuid AND due_at IS NOT NULL) AS due_at"
        " FROM webhooks WHERE is_active) WHERE due_at IS NOT NULL"
    )
    return {row["uuid"]: row["moment"] for row in rows}


def next_due(tx: Read, uuid: str, moment: Timestamp) -> Due | None:
    """Return the oldest delivery of a webhook that is due at ``moment``, or None."""
    row = tx.row(
        "SELECT number, webhook_deliveries.uuid, body, tries, webhook, url, secret FROM webhook_deliveries"
        " JOIN webhooks ON webhooks.uuid = webhook"
        " WHERE webhook = ?1 AND is_active AND COALESCE(waits_until, '') <= ?2 AND due_at <= ?2"
        " ORDER BY number LIMIT 1",
        (uuid, moment),
    )
    return None if row is None else Due(**dict(row))


def settle(tx: Write, due: Due, tried: Tried) -> None:
    """Record the outcome of an attempt. A delivery that is given up is also recorded in the audit log."""
    # A delivery that was given up meanwhile stays so, unless it has arrived.
    settled = tx.rows(
        "UPDATE webhook_deliveries SET state = ?1, due_at = ?2, tries = tries + 1, tried_at = ?3, status = ?4,"
        " detail = ?5 WHERE number = ?6 AND (due_at IS NOT NULL OR ?1 = 'delivered') RETURNING uuid",
        (tried.state, tried.due_at, now(), tried.status, tried.detail.to_json(), due.number),
    )
    tx.rows(
        "UPDATE webhooks SET waits_until = ?1 WHERE uuid = ?2 AND waits_until IS NOT ?1",
        (tried.waits_until, due.webhook),
    )
    if settled and tried.state is DeliveryState.GIVEN_UP:
        payload = {"delivery": due.uuid, "detail": tried.detail.plain()}
        audit.record(tx, SYSTEM, "webhook.given_up", due.webhook, payload)


def switch_off(tx: Write, uuid: str, reason: Notice) -> None:
    """Deactivate a webhook whose receiver wants nothing more."""
    if tx.row("SELECT 1 FROM webhooks WHERE uuid = ? AND is_active", (uuid,)):
        change(tx, "webhooks", ("uuid", uuid), {"is_active": False, "updated_at": now()})
        _give_up(tx, uuid, reason)
        audit.record(tx, SYSTEM, "webhook.switched_off", uuid, {"reason": reason.plain()})


def overdue(tx: Read, before: Timestamp) -> list[str]:
    """Return the uuids of the webhooks with deliveries that have been pending since before a time."""
    late = tx.rows(
        "SELECT DISTINCT webhook FROM webhook_deliveries WHERE due_at IS NOT NULL AND created_at < ?", (before,)
    )
    return [row["webhook"] for row in late]


def give_up_old(tx: Write, uuid: str, before: Timestamp) -> None:
    """Give up the deliveries of a webhook that have been pending since before a time."""
    reason = GiveUpReason.TOO_LATE.notice()
    if given_up := _give_up(tx, uuid, reason, before=before):
        payload = {"deliveries": given_up, "reason": reason.plain()}
        audit.record(tx, SYSTEM, "webhook.given_up", uuid, payload)


def all_uuids(tx: Read) -> list[str]:
    """Return the uuids of all webhooks."""
    return [row["uuid"] for row in tx.rows("SELECT uuid FROM webhooks ORDER BY created_at")]


def expired(tx: Read, uuid: str, before: Timestamp, rows: int) -> list[int]:
    """Return the numbers of the ended deliveries of a webhook that are not kept.

    Args:
        before: those created before this time are not kept.
        rows: the newest ended deliveries that are kept.
    """
    doomed = tx.rows(
        "SELECT number FROM (SELECT number, created_at, ROW_NUMBER() OVER (ORDER BY number DESC) AS place"
        " FROM webhook_deliveries WHERE webhook = ? AND due_at IS NULL) WHERE place > ? OR created_at < ?",
        (uuid, rows, before),
    )
    return [row["number"] for row in doomed]


def remove_deliveries(tx: Write, numbers: Iterable[int]) -> None:
    """Delete deliveries."""
    tx.many("DELETE FROM webhook_deliveries WHERE number = ?", ((number,) for number in numbers))


def _insert(tx: Write, webhook: str, messages: Iterable[WebhookMessage]) -> None:
    moment = now()
    rows = [
        (each.uuid, webhook, each.deployment, each.step, each.body, DeliveryState.PENDING, moment, moment)
        for each in messages
    ]
    if rows:
        tx.many(
            "INSERT INTO webhook_deliveries (uuid, webhook, deployment, step, body, state, created_at, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def _give_up(tx: Write, webhook: str, reason: Notice, *, before: Timestamp | None = None) -> int:
    """Give up all pending deliveries, or those that have been pending since before a time; return their number."""
    given_up = tx.rows(
        "UPDATE webhook_deliveries SET state = 'given_up', due_at = NULL, reason = ?2"
        " WHERE webhook = ?1 AND due_at IS NOT NULL AND (?3 IS NULL OR created_at < ?3) RETURNING number",
        (webhook, reason.to_json(), before),
    )
    return len(given_up)


def _wait_no_longer(tx: Write, webhook: str) -> None:
    tx.rows("UPDATE webhooks SET waits_until = NULL WHERE uuid = ?", (webhook,))
    tx.rows(
        "UPDATE webhook_deliveries SET due_at = ?2 WHERE webhook = ?1 AND due_at > ?2",
        (webhook, now()),
    )


def _names(steps: Iterable[StepName]) -> str:
    """Return the distinct names as JSON, in the order of the steps."""
    wanted = set(steps)
    return json.dumps([step for step in StepName if step in wanted])


def _host(url: str) -> str | None:
    """Return the host of a URL: the path and the query are secrets of many receivers."""
    return urlsplit(url).hostname
