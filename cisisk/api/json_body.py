"""Parsing of JSON request bodies into values that the database and files can store."""

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
"""Deepest nesting; schemas have at most three levels, and Python's parser fails near a thousand."""
MAX_VALUES: Final = 2000
"""Most values in a body; a profile has some tens. Checking a megabyte of values would block the event loop."""
MAX_FIELD_NAME: Final = 64
"""Characters of a field name repeated in a response; all existing names are shorter."""
_MAX_DIGITS: Final = 25
"""More digits than a 64-bit number has, and far fewer than the 4300 that int() refuses."""

_INVALID_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


class BodyNotJson(CisiskError):
    """The body is not JSON in UTF-8, or nested too deeply."""


class UnsupportedBody(CisiskError):
    """The content type of the body is not supported."""


async def read(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the body, or an empty one without a body.

    Raises:
        BodyNotJson: the body is not JSON in UTF-8, or nested too deeply.
        UnsupportedBody: the content type is not JSON.
        Invalid: the JSON is not an object, or has values that cannot be stored.
        HTTPRequestEntityTooLarge: the body exceeds the application's ``client_max_size``.
    """
    if not request.body_exists:
        return {}
    if request.content_type != JSON:
        raise UnsupportedBody(f"The body must be JSON, with the content type {JSON}")
    return parse(await whole(request))


async def whole(request: web.Request) -> bytes:
    """Return the bytes of the body.

    Raises:
        BodyNotJson: the encoding does not match the headers.
        HTTPRequestEntityTooLarge: the body exceeds the application's ``client_max_size``.
    """
    try:
        return await request.read()
    except web.RequestPayloadError as error:
        raise BodyNotJson("The encoding of the body does not match its headers") from error


def parse(content: bytes, *, most: int = MAX_VALUES) -> dict[str, Any]:
    """Parse a JSON object with at most ``most`` values. Raises BodyNotJson, Invalid."""
    try:
        sent = json.loads(content.decode(), parse_constant=_refuse_constant, parse_int=_bounded_int)
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
    """Check that the database and files can store ``values``, including nested ones.

    Raises:
        BodyNotJson: nested deeper than ``MAX_DEPTH``.
        Invalid: more than ``most`` values, invalid text, or numbers that are not finite or exceed 64 bits.
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
            raise Invalid.field("body", f"Contains more than {most} values")
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, str) and _INVALID_TEXT.search(key):
                refused.append((dotted(name, key), "Not a valid field name"))
            pending.append((dotted(name, key), below, depth + 1))
    if refused:
        raise refusal(refused)


def refusal(reasons: Iterable[tuple[str, str]]) -> Invalid:
    """Return the error for ``reasons``: at least one pair of a dotted field name and a reason."""
    by_field: dict[str, list[str]] = {}
    for name, reason in reasons:
        by_field.setdefault(name, []).append(reason)
    first, why = next(iter(by_field.items()))
    more = f" (and {len(by_field) - 1} more)" if len(by_field) > 1 else ""
    return Invalid(f"{first}: {'; '.join(why)}{more}", by_field)


def dotted(name: str, key: object) -> str:
    """Return the dotted name of ``key`` below ``name``, safe for messages and logs."""
    part = str(key) if str(key).isprintable() else ascii(key)[1:-1]
    return f"{name}.{part[:MAX_FIELD_NAME]}" if name else part[:MAX_FIELD_NAME]


def _unstorable(value: object) -> str | None:
    match value:
        case str() if _INVALID_TEXT.search(value):
            return "Contains a NUL character or an unpaired surrogate"
        case int() if not -(2**63) <= value < 2**63:
            return "Exceeds 64 bits"
        case float() if not math.isfinite(value):
            return "Not a finite number"
    return None


def _refuse_constant(constant: str) -> NoReturn:
    message = f"{constant} is not a number"
    raise ValueError(message)


def _bounded_int(digits: str) -> int:
    """Return the number, or for a number beyond 64 bits a prefix that also exceeds 64 bits."""
    return int(digits[:_MAX_DIGITS])
