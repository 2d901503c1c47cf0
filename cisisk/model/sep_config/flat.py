"""The flat config of a 7940 or 7960 with SIP firmware, ``SIP<MAC>.cnf``: its settings, facts and findings.

A line holds ``name: value``. The value may stand in double quotes. ``#`` begins a line of comment, and ``;`` a comment
behind a value.

Source: docs/phone-protocol/sep-xml.md#flat-configs
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cisisk.model.catalogue import find
from cisisk.model.codes.config import FindingCode
from cisisk.model.loads import read_load
from cisisk.model.phone import Software
from cisisk.model.sep_config.encoding import BYTE_ORDER_MARK
from cisisk.model.sep_config.facts import LINE_FEATURE, Line, SepConfig
from cisisk.model.sep_config.finding import Finding
from cisisk.model.sep_config.line_rules import MAX_AUTH_PASSWORD_LENGTH, MAX_PHONE_LABEL_LENGTH
from cisisk.model.sep_config.model_rules import notices_for_model
from cisisk.model.sep_config.refusal import refusal, refusal_at

MAX_FLAT_BYTES = 64 * 1024
"""A 7960 reads its files in blocks of 512 bytes into little memory. Usual ones have 1 to 4 KB."""
MAX_LINE_KEYS = 6
"""Of a 7960. A 7940 has two."""
UNPROVISIONED = "UNPROVISIONED"
"""The value of a line that is not in use."""

_SETTING = re.compile(
    r"""[ \t]*+(?P<name>[A-Za-z][A-Za-z0-9_]*+)[ \t]*+:[ \t]*+
        (?:"(?P<quoted>[^"]*+)"|(?P<plain>[^";]*+))[ \t]*+(?:;.*)?""",
    re.VERBOSE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Setting:
    """One value, and the line of the file on which it stands."""

    value: str = field(repr=False)
    at: int


@dataclass(frozen=True, slots=True)
class FlatConfig:
    """A parsed flat config.

    Attributes:
        settings: by name in lower case; of a name that is set twice, the last.
        repeated: the line on which a name is set again; None if none is.
    """

    settings: dict[str, Setting]
    repeated: int | None

    def text(self, name: str) -> str | None:
        """Return the value of a setting, or None."""
        setting = self.settings.get(name)
        return None if setting is None else setting.value

    def line(self, name: str) -> int | None:
        """Return the line of a setting, or None."""
        setting = self.settings.get(name)
        return None if setting is None else setting.at


def parse_flat(content: bytes, *, max_bytes: int = MAX_FLAT_BYTES) -> FlatConfig:
    """Parse an untrusted flat config.

    Raises:
        Invalid: it is too large, no UTF-8, or has a line that sets no value.
    """
    if len(content) > max_bytes:
        raise refusal(f"The file has {len(content)} bytes; the maximum is {max_bytes}. Send one config only.")
    if content.startswith(BYTE_ORDER_MARK):
        raise refusal("The file begins with a byte order mark, which the phone takes for text. Remove it.", line=1)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise refusal_at("These bytes are not UTF-8. Save the file as UTF-8.", before) from None
    if found := _CONTROL.search(text):
        raise refusal_at("A config is plain text. Remove this control character.", text[: found.start()])
    settings: dict[str, Setting] = {}
    repeated = None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        match = _SETTING.fullmatch(line.rstrip())
        if match is None:
            raise refusal("This line sets no value. Write name: value, and close each quote.", line=number)
        name = match["name"].lower()
        if name in settings and repeated is None:
            repeated = number
        value = match["quoted"] if match["quoted"] is not None else match["plain"]
        settings[name] = Setting(value.strip(), number)
    if not settings:
        raise refusal("The file sets no value. Send the phone's own config, SIP<MAC>.cnf.")
    return FlatConfig(settings, repeated)


def facts_of_flat(flat: FlatConfig) -> SepConfig:
    """Return the facts of a flat config."""
    proxies = (flat.text(f"proxy{number}_address") for number in range(1, MAX_LINE_KEYS + 1))
    return SepConfig(
        encoding="UTF-8",
        protocol="SIP",
        has_sip_profile=True,
        has_sccp_port=False,
        is_flat=True,
        load=flat.text("image_version") or None,
        load_server=None,
        lines=tuple(_lines(flat)),
        modules=0,
        phone_label=flat.text("phone_label"),
        call_managers=tuple(dict.fromkeys(proxy for proxy in proxies if proxy and proxy != UNPROVISIONED)),
        device_security_mode=None,
        transport="UDP",
        web_access=None,
        user_locale=None,
        network_locale=None,
        authentication_url=None,
        secure_authentication_url=None,
    )


def _lines(flat: FlatConfig) -> Iterator[Line]:
    for number in range(1, MAX_LINE_KEYS + 1):
        name = flat.text(f"line{number}_name")
        if not name or name == UNPROVISIONED:
            continue
        yield Line(
            button=number,
            line_index=number,
            feature_id=LINE_FEATURE,
            name=name,
            contact=flat.text(f"line{number}_contact"),
            display_name=flat.text(f"line{number}_displayname"),
            label=flat.text(f"line{number}_shortname"),
            proxy=flat.text(f"proxy{number}_address") or flat.text("proxy1_address"),
            at=flat.line(f"line{number}_name"),
        )


def findings_in_flat(
    flat: FlatConfig, config: SepConfig, models: Sequence[str], software: Software | None
) -> Iterator[Finding]:
    """Yield the findings about a flat config.

    Args:
        models: of the profile.
        software: of the profile; None for any.
    """
    if flat.repeated is not None:
        yield Finding(FindingCode.DUPLICATE_SETTING.notice(), line=flat.repeated)
    if software is Software.SCCP:
        yield Finding(FindingCode.PROTOCOL_SOFTWARE_MISMATCH.notice(protocol="SIP", software=software.value))
    yield from _of_load(flat, config)
    yield from _of_models(config, models)
    yield from _of_lines(flat, config)
    if flat.text("phone_password"):
        notice = FindingCode.PHONE_PASSWORD_PRESENT.notice(element="phone_password")
        yield Finding(notice, line=flat.line("phone_password"))
    if len(config.phone_label or "") > MAX_PHONE_LABEL_LENGTH:
        notice = FindingCode.PHONE_LABEL_TOO_LONG.notice(longest=MAX_PHONE_LABEL_LENGTH)
        yield Finding(notice, line=flat.line("phone_label"))


def _of_load(flat: FlatConfig, config: SepConfig) -> Iterator[Finding]:
    protocol = read_load(config.load or "").protocol
    if protocol == "SCCP":
        notice = FindingCode.LOAD_PROTOCOL_MISMATCH.notice(load_protocol=protocol, protocol="SIP")
        yield Finding(notice, line=flat.line("image_version"))


def _of_models(config: SepConfig, models: Sequence[str]) -> Iterator[Finding]:
    for model in models:
        facts = find(model)
        if facts is None:
            yield Finding(FindingCode.UNKNOWN_MODEL.notice(model=model))
            continue
        for notice, _ in notices_for_model(config, config.protocol, facts):
            yield Finding(notice)


def _of_lines(flat: FlatConfig, config: SepConfig) -> Iterator[Finding]:
    if not config.lines:
        yield Finding(FindingCode.NO_FLAT_LINE.notice())
    names = [line.name for line in config.lines]
    for number, line in enumerate(config.lines):
        if line.name in names[:number]:
            yield Finding(FindingCode.DUPLICATE_LINE_NAME.notice(), line=line.at)
        password = f"line{line.button}_password"
        if len(flat.text(password) or "") > MAX_AUTH_PASSWORD_LENGTH:
            notice = FindingCode.AUTH_PASSWORD_TOO_LONG.notice(longest=MAX_AUTH_PASSWORD_LENGTH)
            yield Finding(notice, line=flat.line(password))
