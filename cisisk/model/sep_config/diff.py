"""The differences between two configs, in the terms of phone administrators.

The values of passwords and PINs, and of URLs that carry them, are not shown: the text only says that they changed.

Source: docs/phone-protocol/sep-xml.md#elements
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

from lxml import etree

from cisisk.model.content_type import ContentType, content_type_of
from cisisk.model.errors import Invalid
from cisisk.model.sep_config.document import Document, local_name, parse, text_of
from cisisk.model.sep_config.facts import LINE_FEATURE, SepConfig, facts_of
from cisisk.model.sep_config.flat import parse_flat
from cisisk.model.sep_config.flat_diff import flat_changes

MAX_CHANGES = 100
"""Further changes are only counted."""
_MAX_VALUE = 64
"""Characters shown of a value. Names, labels and loads have fewer."""
_MAX_NAME = 48
"""Characters shown of an element name. The diff of a tree with long names must not exceed the size of the tree."""
_MAX_PATH = 160
"""Characters shown of a path, from its end. The longest known path has about 70."""

RestartType: TypeAlias = Literal["restart", "reset"]


class _ResetNeeded(TypedDict):
    restart: RestartType
    reset_for: tuple[str, ...]


_SECRET = re.compile(r"pass|pwd|pin|secret|credential|token", re.IGNORECASE)
"""Matches element names. It also matches some harmless names (``mapping``), whose values are then hidden."""
_SECRET_PARAMETER = re.compile(f"{_SECRET.pattern}|key|auth", re.IGNORECASE)
"""Matches the query of a URL."""
_HIDDEN = "(not shown)"
_WORDS = {
    "loadInformation": "load",
    "inactiveLoadInformation": "inactive load",
    "vendorConfig/loadServer": "load server",
    "deviceProtocol": "protocol",
    "userLocale": "locale",
    "userLocale/name": "locale",
    "networkLocale": "network locale",
    "transportLayerProtocol": "transport",
    "deviceSecurityMode": "security mode",
    "sipProfile/phoneLabel": "phone label",
}
"""The usual names of elements. All others are named by their path."""
_RESET: _ResetNeeded = {"restart": "reset", "reset_for": ()}
"""The first SIP generation reads its files at a reset only."""
_CALL_MANAGERS = re.compile(r"devicePool/callManagerGroup/members/member(?:\[(\d+)\])?/callManager/processNodeName")
_FEATURES = {
    "1": "redial key",
    "2": "speed dial",
    "3": "hold key",
    "4": "transfer key",
    "5": "call forward key",
    str(LINE_FEATURE): "line",
    "18": "settings key",
    "20": "service key",
    "21": "busy lamp",
    "22": "call park key",
    "23": "intercom key",
}
_LINES = ("sipProfile", "sipLines")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """The differences.

    Attributes:
        changes: at most :data:`MAX_CHANGES` texts such as ``line 1: 201 -> 305``: first the elements with usual names,
            then lines and keys, then other elements. Empty if a phone reads the same from both configs.
        more: the number of further changes.
        restart: the kind of restart that applies the config; None if nothing differs.
        reset_for: why a restart is not enough: ``load``, ``locale``, ``protocol``, ``network``. Empty over SCCP, where
            a restart is never enough.
    """

    changes: tuple[str, ...]
    more: int
    restart: RestartType | None
    reset_for: tuple[str, ...]


def diff(before: bytes | None, after: bytes | None) -> Diff:
    """Return the differences between two configs. None means no config. Unreadable configs are not compared."""
    if before == after:
        return Diff(changes=(), more=0, restart=None, reset_for=())
    kinds = {content_type_of(content) for content in (before, after) if content is not None}
    if ContentType.CNF in kinds:
        return _flat_diff(before, after) if kinds == {ContentType.CNF} else _other_form(after)
    old, new = _parsed(before), _parsed(after)
    if old is None or new is None:
        unreadable = (
            _state("before", before, readable=old is not None),
            _state("after", after, readable=new is not None),
        )
        restart = "restart" if new is None else _restart(new[1], ())
        return Diff(changes=tuple(filter(None, unreadable)), more=0, restart=restart, reset_for=())
    changes = sorted(_in_tree(old[0].root, new[0].root, _Place()), key=lambda change: change.rank)
    reasons = reset_reasons(old[1], new[1]) if changes else ()
    return Diff(
        changes=tuple(change.text for change in changes[:MAX_CHANGES]),
        more=max(0, len(changes) - MAX_CHANGES),
        restart=_restart(new[1], reasons) if changes else None,
        reset_for=reasons,
    )


def _flat_diff(before: bytes | None, after: bytes | None) -> Diff:
    if before is None or after is None:
        missing = _state("before", before, readable=True) or _state("after", after, readable=True)
        return Diff(changes=(missing,), more=0, **_RESET)
    try:
        old, new = parse_flat(before), parse_flat(after)
    except Invalid:
        return Diff(changes=("a phone cannot read one of the configs, so they are not compared",), more=0, **_RESET)
    changes = tuple(flat_changes(old, new))
    if not changes:
        return Diff(changes=(), more=0, restart=None, reset_for=())
    return Diff(changes=changes[:MAX_CHANGES], more=max(0, len(changes) - MAX_CHANGES), **_RESET)


def _other_form(after: bytes | None) -> Diff:
    file = "SIP<MAC>.cnf" if content_type_of(after or b"") is ContentType.CNF else "SEP<MAC>.cnf.xml"
    return Diff(changes=(f"the phone is to read {file} instead, so the configs are not compared",), more=0, **_RESET)


def _restart(after: SepConfig, reasons: Sequence[str]) -> RestartType:
    # Over SCCP a restart reads no files.
    return "reset" if reasons or after.speaks == "SCCP" else "restart"


def reset_reasons(before: SepConfig, after: SepConfig) -> tuple[str, ...]:
    """Return what needs a reset; empty if a restart will do (docs/phone-protocol/sep-xml.md#what-needs-a-reset)."""
    sides = (_of_a_start(before), _of_a_start(after))
    return tuple(reason for reason in sides[0] if sides[0][reason] != sides[1][reason])


def _of_a_start(config: SepConfig) -> dict[str, tuple[object, ...]]:
    return {
        "load": (config.load, config.load_server),
        "locale": (config.user_locale, config.network_locale),
        "protocol": (config.speaks,),
        "network": (config.transport, config.device_security_mode, config.call_managers),
    }


def _parsed(content: bytes | None) -> tuple[Document, SepConfig] | None:
    if content is None:
        return None
    try:
        # The config was accepted under an earlier limit.
        document = parse(content, max_bytes=len(content))
        return document, facts_of(document)
    except Invalid:
        return None


def _state(when: str, content: bytes | None, *, readable: bool) -> str:
    if content is None:
        return f"there is no config {when}"
    return "" if readable else f"a phone cannot read the config {when}, so it is not compared"


@dataclass(frozen=True, slots=True)
class _Place:
    """The path of an element from the root, and whether a name in it denotes a secret."""

    path: tuple[str, ...] = ()
    secret: bool = False

    def below(self, name: str, number: int = 1) -> "_Place":
        """Return the place of the ``number``-th child of this name."""
        shown = name[:_MAX_NAME] if number == 1 else f"{name[:_MAX_NAME]}[{number}]"
        return _Place((*self.path, shown), self.secret or _SECRET.search(name) is not None)


@dataclass(frozen=True, slots=True)
class _Pair:
    before: etree._Element | None
    after: etree._Element | None


@dataclass(frozen=True, slots=True)
class _Change:
    rank: int
    text: str


def _in_tree(before: etree._Element, after: etree._Element, place: _Place) -> Iterator[_Change]:
    """Yield the changes in an element and below it. The parser limits the depth of the tree."""
    if (old := text_of(before)) != (new := text_of(after)):
        yield _changed(place, old, new)
    for name in dict.fromkeys([*before.attrib, *after.attrib]):
        if (there := before.get(name)) != (here := after.get(name)):
            yield _changed(place.below(f"@{str(name).rpartition('}')[2]}"), there, here)
    pairs = _pairs(before, after, _key_of if place.path == _LINES else local_name)
    if place.path == _LINES:
        keys = {key: pairs.pop(key) for key in list(pairs) if key[0].partition(" ")[0] == "line"}
        yield from _in_keys(keys)
    for (name, number), pair in pairs.items():
        below = place.below(name, number)
        if pair.before is None or pair.after is None:
            yield _alone(pair, below)
        else:
            yield from _in_tree(pair.before, pair.after, below)


def _key_of(element: etree._Element) -> str:
    """Return ``line`` and the key number for a line with a button, else the name of the element."""
    button = " ".join((element.get("button") or "").split())
    return f"line {button}" if local_name(element) == "line" and button else local_name(element)


def _pairs(
    before: etree._Element, after: etree._Element, named: Callable[[etree._Element], str]
) -> dict[tuple[str, int], _Pair]:
    """Return the children of both elements, by name and number among the children of that name."""
    old, new = _numbered(before, named), _numbered(after, named)
    return {key: _Pair(old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])}


def _numbered(parent: etree._Element, named: Callable[[etree._Element], str]) -> dict[tuple[str, int], etree._Element]:
    count: Counter[str] = Counter()
    children = {}
    for child in parent:
        name = named(child)
        count[name] += 1
        children[name, count[name]] = child
    return children


def _in_keys(pairs: dict[tuple[str, int], _Pair]) -> Iterator[_Change]:
    """Yield the changes of ``<sipLines>``: those of each key, then the numbers of added and removed keys."""
    gone: Counter[str] = Counter()
    come: Counter[str] = Counter()
    for (name, number), pair in pairs.items():
        before, after = pair.before, pair.after
        button = name.removeprefix("line ") if name != "line" else "without a button"
        if number > 1:
            button += f"[{number}]"
        if before is not None and after is not None:
            yield from _in_key(before, after, button)
        elif before is not None:
            if _feature(before) == "line":
                yield _Change(1, f"line {_shown(button)}: {_user(before)} removed")
            else:
                gone[_feature(before)] += 1
        elif after is not None:
            if _feature(after) == "line":
                yield _Change(1, f"line {_shown(button)}: {_user(after)} added")
            else:
                come[_feature(after)] += 1
    for counted, done in ((gone, "removed"), (come, "added")):
        for feature, count in counted.items():
            yield _Change(1, f"{count} {feature}{'' if count == 1 else 's'} {done}")


def _in_key(before: etree._Element, after: etree._Element, button: str) -> Iterator[_Change]:
    old, new = _feature(before), _feature(after)
    if old != new:
        was, becomes = (
            f"line {_user(side)}" if feature == "line" else feature for side, feature in ((before, old), (after, new))
        )
        yield _Change(1, f"key {_shown(button)}: {was} -> {becomes}")
        return
    where = f"{old} {_shown(button)}"
    found = [change.text for change in _in_tree(before, after, _Place((where,)))]
    if old == "line":
        found = [text.replace(f"{where}/name: ", f"{where}: ", 1) for text in found]
    # The user of the line comes first.
    yield from (_Change(1, text) for text in sorted(found, key=lambda text: not text.startswith(f"{where}: ")))


def _feature(key: etree._Element) -> str:
    """Return the function of a key."""
    number = next((text_of(child) for child in key if local_name(child) == "featureID"), "")
    return _FEATURES.get(number, "other key")


def _user(line: etree._Element) -> str:
    return _shown(next((text_of(child) for child in line if local_name(child) == "name"), ""))


def _alone(pair: _Pair, place: _Place) -> _Change:
    """Return the change for an element that only one config has."""
    if pair.before is not None and len(pair.before):
        return _Change(_rank(place), f"{_called(place)} removed")
    if pair.after is not None and len(pair.after):
        return _Change(_rank(place), f"{_called(place)} added")
    old, new = (None if side is None else text_of(side) for side in (pair.before, pair.after))
    return _changed(place, old, new)


def _changed(place: _Place, before: str | None, after: str | None) -> _Change:
    old, new = _shown(before), _shown(after)
    hidden = place.secret or _HIDDEN in (old, new) or old == new
    return _Change(_rank(place), f"{_called(place)}: {'changed' if hidden else f'{old} -> {new}'}")


def _rank(place: _Place) -> int:
    whole = "/".join(place.path)
    return 0 if whole in _WORDS or _CALL_MANAGERS.fullmatch(whole) else 2


def _called(place: _Place) -> str:
    whole = "/".join(place.path)
    if call_manager := _CALL_MANAGERS.fullmatch(whole):
        return f"call manager {call_manager[1] or 1}"
    called = _WORDS.get(whole) or whole or "device"
    return called if len(called) <= _MAX_PATH else f"...{called[-_MAX_PATH:]}"


def _shown(value: str | None) -> str:
    """Return a value on one line and shortened, or :data:`_HIDDEN` for a URL that carries a secret."""
    if value is None:
        return "none"
    query = value.partition("?")[2]
    if "@" in value.partition("//")[2] or _SECRET_PARAMETER.search(query):
        return _HIDDEN
    words = " ".join(value.split())
    return (words if len(words) <= _MAX_VALUE else f"{words[:_MAX_VALUE]}...") or "empty"
