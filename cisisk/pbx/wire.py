"""The messages of an AMI connection (docs/phone-protocol/asterisk.md#manager-interface; Asterisk main/manager.c).

A message consists of lines ``Key: Value``, ended by CR LF, and a blank line. Keys are compared without case.
"""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.errors import CisiskError

MAX_LINE = 1023
"""Bytes of one line. Asterisk drops longer ones (main/manager.c, 1024 with the line end)."""
MAX_MESSAGE_BYTES = 1 << 20
"""Bytes of one message from Asterisk. Older chan-sccp lists all its devices, of some 300 bytes each, in one."""
BANNER = b"Asterisk Call Manager/"

_END = b"\r\n\r\n"
_EVENT = b"event:"
_ASKED_FOR = (b"\nactionid:", b"\neventlist:")
"""Every event of a list has at least one of these (chan-sccp leaves the ActionID out of the last)."""
_FOLLOWS = b"response: follows"
_END_OF_COMMAND = b"--END COMMAND--"
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_SHOWN = 200
"""Characters of a foreign text that an error repeats."""


class NotSendable(CisiskError):
    """A value cannot be sent: it would end its line, or is longer than Asterisk reads."""


class Garbled(CisiskError):
    """The bytes are not AMI, or exceed a limit."""


@dataclass(frozen=True, slots=True)
class AmiMessage:
    """A reply or an event.

    Attributes:
        values: by key in lower case; the first if a key repeats.
        output: the lines that a command printed.
    """

    values: Mapping[str, str]
    output: tuple[str, ...] = ()

    def get(self, key: str) -> str:
        """Return the value of a ``key`` in lower case; empty if it is absent."""
        return self.values.get(key, "")


def encode(action: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Return an action as it is sent. Only here values become lines.

    Raises:
        NotSendable: a value holds CR, LF or NUL, which could begin another header or action, or is too long.
    """
    return b"".join(_line(key, value) for key, value in (("Action", action), *fields)) + b"\r\n"


def _line(key: str, value: str) -> bytes:
    if not _KEY.fullmatch(key):
        raise NotSendable(AsteriskProblem.HEADER_INVALID.notice(header=key))
    if any(character in value for character in "\r\n\0"):
        raise NotSendable(AsteriskProblem.VALUE_BREAKS_LINE.notice(header=key))
    line = f"{key}: {value}".encode("utf-8", "replace")
    if len(line) > MAX_LINE:
        raise NotSendable(AsteriskProblem.VALUE_TOO_LONG.notice(header=key))
    return line + b"\r\n"


def parse(block: bytes) -> list[AmiMessage]:
    """Return the messages in the bytes up to a blank line: one, or all devices in a list of older chan-sccp."""
    if block[: len(_FOLLOWS)].lower() == _FOLLOWS:
        return [_command_output(block)]
    messages: list[AmiMessage] = []
    values: dict[str, str] = {}
    output: list[str] = []
    for line in block.decode("utf-8", "replace").split("\n"):
        key, colon, value = line.partition(":")
        key = key.strip().lower()
        if not colon:
            continue
        if key == "event" and "event" in values:
            messages.append(AmiMessage(values, tuple(output)))
            values, output = {}, []
        if key == "output":
            output.append(value.strip())
        else:
            values.setdefault(key, value.strip())
    return [*messages, AmiMessage(values, tuple(output))]


def _command_output(block: bytes) -> AmiMessage:
    """Return the reply to a Command up to Asterisk 13: at most two headers, then raw text."""
    values: dict[str, str] = {}
    output: list[str] = []
    printed = block.partition(_END_OF_COMMAND)[0].removesuffix(b"\n")
    for number, line in enumerate(printed.decode("utf-8", "replace").split("\n")):
        key, _, value = line.partition(":")
        key = key.strip().lower()
        if not output and (number == 0 or key in {"privilege", "actionid"}):
            values.setdefault(key, value.strip())
        else:
            output.append(line.rstrip("\r"))
    return AmiMessage(values, tuple(output))


async def receive(
    reader: asyncio.StreamReader, events: Collection[str] = (), max_bytes: int = MAX_MESSAGE_BYTES
) -> list[AmiMessage]:
    """Return the next messages; none for an event without a listener, which is not parsed.

    Args:
        events: the names, in lower case, of the events with listeners.
        max_bytes: of one message.

    Raises:
        Garbled: more than ``max_bytes`` without an end.
        ConnectionError: the connection has ended.
    """
    block = await _until_blank_line(reader)
    if _is_unwanted(block, events):
        return []
    if block[: len(_FOLLOWS)].lower() == _FOLLOWS:
        # The output of a command may have blank lines.
        while _END_OF_COMMAND not in block:
            block += await _until_blank_line(reader)
            if len(block) > max_bytes:
                raise Garbled(AsteriskProblem.ENDLESS_MESSAGE.notice())
    return parse(block)


def _is_unwanted(block: bytes, events: Collection[str]) -> bool:
    if block[: len(_EVENT)].lower() != _EVENT:
        return False
    name = block[len(_EVENT) : block.index(b"\n")].decode("utf-8", "replace").strip().lower()
    if name in events:
        return False
    known = block.lower()
    return not any(mark in known for mark in _ASKED_FOR)


async def _until_blank_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(_END)
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("Asterisk closed the connection") from error
    except asyncio.LimitOverrunError as error:
        raise Garbled(AsteriskProblem.ENDLESS_MESSAGE.notice()) from error


def shown(text: str) -> str:
    """Return a foreign text so that an error can repeat it."""
    return "".join(character for character in text[:_SHOWN] if character.isprintable())
