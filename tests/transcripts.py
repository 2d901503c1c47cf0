"""Conversations with real versions of Asterisk, in tests/asterisk_transcripts/."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cisisk.pbx import wire
from cisisk.pbx.wire import AmiMessage

FOLDER = Path(__file__).with_name("asterisk_transcripts")


@dataclass(frozen=True)
class Exchange:
    """An action, and what came until the next one.

    Attributes:
        fields: what was sent; empty for what came after a line ``##``.
    """

    fields: tuple[tuple[str, str], ...]
    received: tuple[AmiMessage, ...]

    @property
    def action(self) -> str:
        return dict(self.fields).get("Action", "")

    @property
    def reply(self) -> AmiMessage:
        """The reply; an empty message if there is none."""
        return next((message for message in self.received if "response" in message.values), AmiMessage({}))

    @property
    def items(self) -> list[AmiMessage]:
        """The events of a list, with the one that ends it."""
        return [message for message in self.received if "event" in message.values]


@cache
def exchanges(name: str) -> tuple[Exchange, ...]:
    """Return the conversation in ``<name>.txt``."""
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    found: list[tuple[list[str], list[str]]] = [([], [])]
    for line in lines:
        if line[:1] in {">", "#"} and found[-1][1]:
            found.append(([], []))
        if line.startswith("> "):
            found[-1][0].append(line[2:])
        elif line.startswith("<"):
            found[-1][1].append(line[2:])
    return tuple(Exchange(tuple(_fields(sent)), tuple(_messages(received))) for sent, received in found)


def received(name: str, action: str, **fields: str) -> list[AmiMessage]:
    """Return what came upon the first such ``action`` in ``<name>.txt`` with these ``fields``."""
    for exchange in exchanges(name):
        sent = dict(exchange.fields)
        if exchange.action == action and all(sent.get(key) == value for key, value in fields.items()):
            return list(exchange.received)
    raise LookupError(f"no {action} with {fields} in {name}")


def every_message(name: str) -> list[AmiMessage]:
    return [message for exchange in exchanges(name) for message in exchange.received]


def _fields(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, _, value = line.partition(": ")
        yield key, value


def _messages(lines: Sequence[str]) -> Iterator[AmiMessage]:
    for block in "\n".join(lines).split("\n\n"):
        if ":" in block:
            yield from wire.parse(block.strip("\n").replace("\n", "\r\n").encode() + b"\r\n\r\n")
