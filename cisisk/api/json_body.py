"""The body of a request: bytes from anybody to values that the database and a file can hold."""

import json
import math
import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NoReturn

from aiohttp import web

from cisisk.model.errors import CisiskError, Invalid

JSON: Final = "application/json"
MAX_DEPTH: Final = 16
"""Levels of a body; the deepest schema has three, and Python's own parsers give up near a thousand."""
MAX_VALUES: Final = 2000
"""Values in a body; the largest one, a profile, has some tens. Checking a megabyte of them would hold up the loop."""
MAX_FIELD_NAME: Final = 64
"""Characters of a field's name that an answer repeats; no field that exists has a longer one."""
_MAX_DIGITS: Final = 25
"""More than any number of 64 bits has, and far less than the 4300 at which int() refuses."""

_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


class BodyNotJson(CisiskError):
    """A body that is not JSON in UTF-8, or nested beyond any sense."""


class UnsupportedBody(CisiskError):
    """A body that does not call itself JSON."""


async def read(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; an empty one if there is no body at all.

    Raises:
        BodyNotJson, UnsupportedBody: see there.
        Invalid: JSON, but not an object, or with values that cannot be stored.
        HTTPRequestEntityTooLarge: the body exceeds the application's ``client_max_size``.
    """
    if not request.body_exists:
        return {}
    if request.content_type != JSON:
        raise UnsupportedBody(f"The body must be JSON, with the content type {JSON}")
    return parse(await whole(request))


async def whole(request: web.Request) -> bytes:
    """The bytes of the body, whatever they are.

    Raises:
        BodyNotJson: they are not what the headers say.
        HTTPRequestEntityTooLarge: they are more than the application's ``client_max_size``.
    """
    try:
        return await request.read()
    except web.RequestPayloadError as error:
        raise BodyNotJson("The body is not encoded as its headers say") from error


def parse(content: bytes, *, most: int = MAX_VALUES) -> dict[str, Any]:
    """The JSON object that ``content`` is, with at most so many values. Raises BodyNotJson, Invalid."""
    try:
        sent = json.loads(content.decode(), parse_constant=_no_number, parse_int=_whole_number)
    except UnicodeDecodeError as error:
        raise BodyNotJson("The body is not UTF-8") from error
    except RecursionError as error:
        raise BodyNotJson("The body is nested too deeply") from error
    except ValueError as error:
        message = f"The body is not JSON: {error}"
        raise BodyNotJson(message) from error
    if not isinstance(sent, dict):
        raise Invalid.field("body", "Not a JSON object")
    refuse_unstorable(sent, most=most)
    return sent


def refuse_unstorable(values: object, *, most: int = MAX_VALUES) -> None:
    """Look through dictionaries and lists for what neither the database nor a file can hold.

    Raises:
        BodyNotJson: deeper than ``MAX_DEPTH``.
        Invalid: more than ``most``, or some that are no text, not finite or beyond 64 bits.
    """
    refused = []
    count = 0
    pending = deque([("", values, 0)])
    while pending:
        name, value, depth = pending.popleft()
        if reason := _unstorable(value):
            refused.append((name, reason))
        if not isinstance(value, dict | list):
            continue
        count += len(value)
        if depth == MAX_DEPTH:
            raise BodyNotJson("The body is nested too deeply")
        if count > most:
            raise Invalid.field("body", f"Holds more than {most} values")
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and _NO_TEXT.search(key):
                refused.append((dotted(name, key), "No name for a field"))
            pending.append((dotted(name, key), below, depth + 1))
    if refused:
        raise refusal(refused)


def refusal(reasons: Iterable[tuple[str, str]]) -> Invalid:
    """The error for ``reasons``, pairs of a field's dotted name and what is wrong with it; at least one."""
    by_field: dict[str, list[str]] = {}
    for name, reason in reasons:
        by_field.setdefault(name, []).append(reason)
    first, why = next(iter(by_field.items()))
    more = f" (and {len(by_field) - 1} more)" if len(by_field) > 1 else ""
    return Invalid(f"{first}: {'; '.join(why)}{more}", by_field)


def dotted(name: str, key: object) -> str:
    """The name of what lies at ``key`` below ``name``, fit to be shown and logged."""
    part = str(key) if str(key).isprintable() else ascii(key)[1:-1]
    return f"{name}.{part[:MAX_FIELD_NAME]}" if name else part[:MAX_FIELD_NAME]


def _unstorable(value: object) -> str | None:
    match value:
        case str() if _NO_TEXT.search(value):
            return "Holds a NUL or half a surrogate pair: no text"
        case int() if not -(2**63) <= value < 2**63:
            return "Beyond 64 bits"
        case float() if not math.isfinite(value):
            return "Not a finite number"
    return None


def _no_number(constant: str) -> NoReturn:
    message = f"{constant} is no number"
    raise ValueError(message)


def _whole_number(digits: str) -> int:
    """The number; for one that is refused anyway, as much of it as shows that."""
    return int(digits[:_MAX_DIGITS])
