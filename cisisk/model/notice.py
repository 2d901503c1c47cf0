"""Notices: facts as the program stores and compares them.

A notice is a code and its parameters. The sentence that people read is rendered from it by
:func:`cisisk.model.messages.render`, where a face shows it; nothing compares sentences.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self, TypeAlias, Union

Parameter: TypeAlias = Union[str, int, float, "Notice", tuple["Notice", ...], tuple[str, ...]]
"""A notice as parameter is a cause; several notices are reasons that stand beside each other; several strings are
names."""
TEXT = "text"
"""The code of a notice that is nothing but a sentence, its parameter ``text``."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class NoticeCode(StrEnum):
    """A code, unique among all of them, and the names of the parameters that its notices carry.

    A member is declared as ``NAME = "value", "parameter", ...``.
    """

    _value_: str
    parameters: frozenset[str]

    def __new__(cls, value: str, *parameters: str) -> Self:
        """Make a member of its value and the names of its parameters."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.parameters = frozenset(parameters)
        return member

    def notice(self, **parameters: Parameter) -> "Notice":
        """A notice with this code. Raises TypeError: the parameters are not those that the code declares."""
        if parameters.keys() != self.parameters:
            raise TypeError(f"{self} takes {sorted(self.parameters)}, not {sorted(parameters)}")
        return Notice(self, parameters)


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact.

    Attributes:
        code: a :class:`NoticeCode`; a plain string when it was read from JSON, equal to the member.
    """

    code: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        """The form for logs: ``code key=value``."""
        return " ".join([str(self.code), *(f"{name}={_logged(value)}" for name, value in self.parameters.items())])

    def plain(self) -> dict[str, Any]:
        """The code and the parameters, ready for JSON."""
        return {
            "code": str(self.code),
            "parameters": {name: _plain(value) for name, value in self.parameters.items()},
        }

    def to_json(self) -> str:
        """The notice as it is stored."""
        return _ENCODER.encode(self.plain())

    @classmethod
    def from_json(cls, text: str) -> "Notice":
        """The notice that :meth:`to_json` gave. Other text, of a row edited by hand, becomes a notice :data:`TEXT`."""
        try:
            return cls.from_plain(json.loads(text))
        except ValueError:
            return cls(TEXT, {"text": text})

    @classmethod
    def from_plain(cls, plain: Any) -> "Notice":
        """The notice that :meth:`plain` gave. Raises ValueError if it gave something else."""
        match plain:
            case {"code": str(code), **rest} if isinstance(parameters := rest.get("parameters", {}), dict):
                return cls(code, {name: _parameter(value) for name, value in parameters.items()})
        raise ValueError(f"not a notice: {plain!r}")


def _plain(value: Parameter) -> Any:
    if isinstance(value, Notice):
        return value.plain()
    return list(map(_plain, value)) if isinstance(value, tuple) else value


def _parameter(value: Any) -> Parameter:
    if isinstance(value, dict):
        return Notice.from_plain(value)
    if isinstance(value, list):
        return tuple(each if isinstance(each, str) else Notice.from_plain(each) for each in value)  # type: ignore[return-value]
    parameter: str | int | float = value
    return parameter


def _logged(value: Parameter) -> str:
    if isinstance(value, Notice):
        return f"({value})"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    text = str(value)
    return (
        text if text and not any(character.isspace() or character in '"=' for character in text) else json.dumps(text)
    )
