"""A phone's response to a NOTIFY request (docs/phone-protocol/restart.md#notify-answers)."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from cisisk.sip.message import MalformedSip, SipRequest, split

_EVENTS = frozenset({"check-sync", "service-control"})
_STAMPS = ("ConfigVersionStamp", "DialplanVersionStamp", "SoftkeyVersionStamp")


class NotifyOrder(StrEnum):
    """The action that an accepted NOTIFY requests."""

    RESTART = "restart"
    RESET = "reset"
    CHECK_SYNC = "check-sync"


@dataclass(frozen=True, slots=True)
class NotifyAnswer:
    """The response status, and the action that follows."""

    status: int
    order: NotifyOrder | None = None


_BAD_REQUEST = NotifyAnswer(400)
_OK = NotifyAnswer(200)


def answer(request: SipRequest, *, users: Collection[str], call_id: str | None) -> NotifyAnswer:
    """Return the response to ``request``.

    Args:
        request: a request of any method; the phone supports only NOTIFY.
        users: name and contact of the first line.
        call_id: Call-ID of the line's registration; None if the phone has no call manager.
    """
    try:
        event = split(request.get("Event") or "", ";")[0].lower()
        to = request.get("To") or ""
        content_type = split(request.get("Content-Type") or "", ";")[0].lower()
    except MalformedSip:
        return _BAD_REQUEST
    if request.method != "NOTIFY":
        return NotifyAnswer(501)
    if event in _EVENTS and _user(request.uri) not in users:
        return NotifyAnswer(404)
    if event not in _EVENTS or not _user(to.partition("<")[2] or to):
        return _BAD_REQUEST
    if event == "check-sync":
        return NotifyAnswer(200, NotifyOrder.CHECK_SYNC)
    return _service_control(request.body if content_type == "text/plain" else b"", call_id)


def _service_control(body: bytes, call_id: str | None) -> NotifyAnswer:
    fields = _fields(body.decode(errors="replace"))
    stamps = [fields.get(name.lower()) for name in _STAMPS]
    action = fields.get("action")
    if call_id is None or fields.get("registercallid") != call_id:
        return _BAD_REQUEST
    if action in {NotifyOrder.RESTART, NotifyOrder.RESET}:
        return NotifyAnswer(200, NotifyOrder(action))
    if action == "check-version":
        return _OK if all(stamps) else _BAD_REQUEST
    return _OK if action == "prt-report" else _BAD_REQUEST


def _fields(body: str) -> dict[str, str]:
    """Return the fields by lower-case key. The first of each wins; a value without braces counts as absent."""
    fields: dict[str, str] = {}
    for line in body.split("\r\n"):
        for key in ("action", "RegisterCallId", *_STAMPS):
            name = key.lower()
            if not line.lower().startswith(name) or name in fields:
                continue
            value = line.partition("=")[2].lstrip(" \t")
            if name == "action":
                fields[name] = value
            elif value.startswith("{") and value.endswith("}"):
                fields[name] = value[1:-1]
    return fields


def _user(uri: str) -> str:
    """Return the user part of a ``sip:`` URI, or an empty string."""
    scheme, _, rest = uri.partition(":")
    user, at, _ = rest.partition("@")
    return unquote(user) if scheme.lower() == "sip" and at else ""
