"""Reads config.toml and CISISK_* variables into frozen settings. Unknown keys and wrong types stop the start."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from datetime import time
from pathlib import Path
from typing import Any, TypeVar, get_type_hints
from urllib.parse import urlsplit

from cisisk.model.deployment import OnTimeout, Policy
from cisisk.model.errors import ConfigurationError, Invalid
from cisisk.model.logout_times import time_of_day
from cisisk.model.mac import Mac
from cisisk.model.start_time import StartTime

PREFIX = "CISISK_"
SEARCHED = (Path("config.toml"), Path("/etc/cisisk/config.toml"))
"""Paths of the configuration file, if none is given."""

_Section = TypeVar("_Section")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,50}", re.ASCII)
"""Characters that a phone accepts in processNodeName (docs/phone-protocol/sep-xml.md#elements)."""
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _number(default: int, low: int, high: int) -> Any:
    return field(default=default, metadata={"range": (low, high)})


def _port(default: int) -> Any:
    """Define a setting that is a port; 0 lets the system choose one."""
    return _number(default, 0, 65535)


def _address(default: str) -> Any:
    return field(default=default, metadata={"address": True})


def _one_of(default: str, *others: str) -> Any:
    return field(default=default, metadata={"choices": (default, *others)})


def _ports(key: str, text: str) -> tuple[int, int] | None:
    """Return both ports of a ``text`` such as ``40000-40999``; None for any port. Raises ConfigurationError."""
    if not text:
        return None
    low, dash, high = text.partition("-")
    if not (dash and low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high) <= 65535):
        raise ConfigurationError(f'{key}: expected two ports such as "40000-40999", got "{text}"')
    return int(low), int(high)


def _secret() -> Any:
    return field(default="", repr=False, metadata={"secret": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """``[server]``: the API, and the services for phones over HTTP."""

    host: str = _address("0.0.0.0")  # noqa: S104 -- an appliance serves its LAN; one address can be named instead
    port: int = _port(8080)
    public_url: str = field(default="", metadata={"url": True})
    environment: str = "production"
    tls_port: int = _port(8443)
    tls_cert: str = ""
    tls_key: str = ""
    trusted_proxies: tuple[str, ...] = field(default=(), metadata={"address": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """``[data]``: the directory of the database and keys."""

    dir: Path = Path("/var/lib/cisisk")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningSettings:
    """``[provisioning]``: the served directory and the access to it.

    An empty root means ``tftpboot`` in the data directory. ``decoys`` are MACs of no real phone. A generated
    ``XMLDefault.cnf.xml`` sends phones to ``default_call_manager``; if that is empty none is generated.
    """

    root: str = ""
    max_config_bytes: int = _number(524288, 1024, 1 << 20)
    access: str = _one_of("observe", "off", "pin")
    decoys: tuple[str, ...] = field(default=(), metadata={"mac": True})
    default_call_manager: str = field(default="", metadata={"host": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class TftpSettings:
    """``[tftp]``: the embedded TFTP server.

    ``port_range`` (``40000-40003``) sets the reply ports; ``single_port`` makes it reply from ``port``. ``max_blksize``
    is the largest block that is not fragmented; ``cache_bytes`` limits the served files that are kept in memory.
    """

    enabled: bool = True
    host: str = _address("0.0.0.0")  # noqa: S104 -- as for the API
    port: int = _port(69)
    port_range: str = ""
    single_port: bool = False
    max_transfers: int = _number(4096, 1, 65535)
    max_blksize: int = _number(1428, 512, 65464)
    cache_bytes: int = _number(6 << 20, 0, 1 << 30)

    @property
    def reply_ports(self) -> tuple[int, int] | None:
        """First and last port of ``port_range``; None for any port."""
        return _ports("tftp.port_range", self.port_range)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningHttpSettings:
    """``[provisioning_http]``: the served directory over HTTP, which some phones try first."""

    enabled: bool = True
    host: str = _address("0.0.0.0")  # noqa: S104 -- as for the API
    port: int = _port(6970)


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpSettings:
    """``[ftp]``: administrators' access to the served directory. With a certificate TLS is required.

    Clients open data connections to ``passive_ports`` (``30000-30049``).
    """

    enabled: bool = True
    host: str = _address("0.0.0.0")  # noqa: S104 -- as for the API
    port: int = _port(21)
    passive_ports: str = "30000-30049"
    tls_cert: str = ""
    tls_key: str = ""

    def __post_init__(self) -> None:
        """Validate the port range, and require certificate and key together. Raises ConfigurationError."""
        _ports("ftp.passive_ports", self.passive_ports)
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigurationError("ftp.tls_cert and ftp.tls_key: set both, or neither")

    @property
    def data_ports(self) -> tuple[int, int] | None:
        """First and last of ``passive_ports``; None for any port."""
        return _ports("ftp.passive_ports", self.passive_ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLogSettings:
    """``[fetch_log]``: how long fetches are kept, and how many at most."""

    days: int = _number(90, 1, 3650)
    rows: int = _number(200_000, 1000, 100_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskSettings:
    """``[asterisk]``: the manager interface (AMI) of the PBX. It is not used without a host.

    ``channel`` is the SIP channel driver: ``pjsip``; ``sip``, chan_sip up to Asterisk 20; ``usecallmanager``, the
    chan_sip that the usecallmanager patch adds to Asterisk 22. The last two mean the same.
    """

    host: str = ""
    port: int = _number(5038, 1, 65535)
    username: str = ""
    secret: str = _secret()
    tls: bool = False
    channel: str = _one_of("pjsip", "sip", "usecallmanager")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneHttpSettings:
    """``[phone_http]``: requests to a phone's web server. Without a username each request has its own credentials.

    ``timeout`` is in seconds and limits one request; ``port`` is 80 on every phone.
    """

    username: str = ""
    password: str = _secret()
    timeout: int = _number(5, 1, 60)
    port: int = _number(80, 1, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSipSettings:
    """``[phone_sip]``: SIP requests to a phone, with credentials if it asks for some.

    ``timeout`` is in seconds. RFC 3261 waits for 32 (timer F), which is meant for the internet. 8 seconds leave time
    for five attempts in a LAN.
    """

    username: str = ""
    password: str = _secret()
    timeout: int = _number(8, 1, 32)
    port: int = _number(5060, 1, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartSettings:
    """``[restart]``: restart methods in the order of their use, by the phone's software."""

    sip: tuple[str, ...] = ("ami-pjsip", "ami-sip", "sip-notify", "cgi-init-restart", "cgi-keys")
    sipe: tuple[str, ...] = ("ami-pjsip", "ami-sip", "sip-notify", "cgi-init-restart", "cgi-keys")
    sccp: tuple[str, ...] = ("ami-sccp", "cgi-init-restart", "cgi-keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSettings:
    """``[switch]``: the default policy of switches.

    ``refuse_unknown_call``: whether ``refuse_in_call`` also refuses a switch if nothing tells whether the phone is in a
    call. ``fetch_seconds`` is the time a phone has to fetch its config: a 7942 takes a minute after a reset, and longer
    if it loads firmware. ``register_seconds`` is the time to register after that.
    """

    when: str = _one_of("now", "idle")
    retry: bool = True
    escalate: bool = True
    on_timeout: str = _one_of("keep", "rollback")
    refuse_in_call: bool = False
    refuse_unknown_call: bool = True
    quiet_minutes: int = _number(0, 0, 1440)
    fetch_seconds: int = _number(180, 1, 86_400)
    register_seconds: int = _number(180, 1, 86_400)

    @property
    def policy(self) -> Policy:
        """The settings as a policy."""
        typed = {"when": StartTime.parse(self.when), "on_timeout": OnTimeout(self.on_timeout)}
        values = {name: value for name, value in asdict(self).items() if name != "refuse_unknown_call"}
        return Policy(**{**values, **typed})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """``[auth]``: how long a login lasts, and whether users may register themselves."""

    access_token_minutes: int = _number(15, 1, 1440)
    refresh_token_days: int = _number(30, 1, 365)
    public_register: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneLoginSettings:
    """``[phone_login]``: logins on phones, how long they last, and on how many phones.

    ``maximum_minutes`` (0: no limit), ``logout_at`` (times of the day such as ``20:00``, in the machine's time zone)
    and ``idle_minutes`` (0: never) log a user out. After ``session_hours`` without a page, a phone's screen asks for
    the PIN again.
    """

    multiple: str = _one_of("deny", "allow", "take_over")
    maximum_minutes: int = _number(0, 0, 525_600)
    logout_at: tuple[str, ...] = ()
    idle_minutes: int = _number(0, 0, 1440)
    session_hours: int = _number(24, 1, 720)

    def __post_init__(self) -> None:
        """Validate the times. Raises ConfigurationError."""
        _ = self.logout_times

    @property
    def logout_times(self) -> tuple[time, ...]:
        """``logout_at`` as times."""
        try:
            return tuple(map(time_of_day, self.logout_at))
        except ValueError as error:
            raise ConfigurationError(f"phone_login.logout_at: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """``[log]``: the log on standard error."""

    level: str = _one_of("info", "debug", "warning", "error")
    format: str = _one_of("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings."""

    server: ServerSettings = field(default_factory=ServerSettings)
    data: DataSettings = field(default_factory=DataSettings)
    provisioning: ProvisioningSettings = field(default_factory=ProvisioningSettings)
    tftp: TftpSettings = field(default_factory=TftpSettings)
    provisioning_http: ProvisioningHttpSettings = field(default_factory=ProvisioningHttpSettings)
    ftp: FtpSettings = field(default_factory=FtpSettings)
    fetch_log: FetchLogSettings = field(default_factory=FetchLogSettings)
    asterisk: AsteriskSettings = field(default_factory=AsteriskSettings)
    phone_http: PhoneHttpSettings = field(default_factory=PhoneHttpSettings)
    phone_sip: PhoneSipSettings = field(default_factory=PhoneSipSettings)
    restart: RestartSettings = field(default_factory=RestartSettings)
    switch: SwitchSettings = field(default_factory=SwitchSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    phone_login: PhoneLoginSettings = field(default_factory=PhoneLoginSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def __post_init__(self) -> None:
        """Check settings that depend on each other.

        Raises:
            ConfigurationError: two settings contradict each other.
        """
        if bool(self.server.tls_cert) != bool(self.server.tls_key):
            raise ConfigurationError("server.tls_cert and server.tls_key: set both, or neither")
        if self.data.dir.resolve().is_relative_to(self.served_root.resolve()):
            raise ConfigurationError(
                "provisioning.root: contains the data directory, which phones must not read. Set another one"
            )
        _ = self.ftp.data_ports
        if self.tftp.reply_ports and self.tftp.single_port:
            raise ConfigurationError("tftp.port_range and tftp.single_port: set one of them")
        if self.phone_login.idle_minutes and not self.asterisk.host:
            raise ConfigurationError(
                "phone_login.idle_minutes: set asterisk.host too. Cisisk asks it whether a phone is in use"
            )

    @property
    def served_root(self) -> Path:
        """The directory whose files are served to phones."""
        return Path(self.provisioning.root) if self.provisioning.root else self.data.dir / "tftpboot"


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from ``path``, or from the first of :data:`SEARCHED` that exists. Variables override the file.

    Raises:
        ConfigurationError: the file cannot be read, or a key is unknown, has the wrong type, or is out of range.
    """
    return build(_read(path or next((known for known in SEARCHED if known.is_file()), None)), environ)


def build(tables: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Build the settings from the parsed ``tables`` of a file and ``CISISK_<SECTION>__<KEY>`` variables.

    Raises:
        ConfigurationError: as :func:`load`.
    """
    sections = {section.name: section for section in fields(Settings)}
    _refuse_unknown(tables, sections, "section")
    variables = {name for name in environ if name.startswith(PREFIX) and "__" in name}
    built = {}
    for name, kind in get_type_hints(Settings).items():
        table = tables.get(name, {})
        if not isinstance(table, Mapping):
            raise ConfigurationError(f"{name}: expected a table such as [{name}]")
        built[name] = _section(kind, name, table, environ, variables)
    if variables:
        raise ConfigurationError(f"unknown setting {min(variables)}")
    return Settings(**built)


def _read(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise ConfigurationError(f"unknown {what} {unknown[0]}; known are {', '.join(known)}")


def _section(
    kind: type[_Section], name: str, table: Mapping[str, Any], environ: Mapping[str, str], variables: set[str]
) -> _Section:
    known = {key.name: key for key in fields(kind)}  # type: ignore[arg-type]  # every section is a dataclass
    _refuse_unknown({f"{name}.{key}": None for key in table}, {f"{name}.{key}": None for key in known}, "key")
    hints = get_type_hints(kind)
    values = {}
    for key, description in known.items():
        variable = f"{PREFIX}{name}__{key}".upper()
        secret_file = f"{variable}_FILE" if description.metadata.get("secret") else ""
        variables -= {variable, secret_file}
        if variable in environ:
            values[key] = _value(hints[key], description, environ[variable], variable)
        elif secret_file and secret_file in environ:
            values[key] = _secret_file(Path(environ[secret_file]), secret_file)
        elif key in table:
            values[key] = _value(hints[key], description, table[key], f"{name}.{key}")
        elif description.default is MISSING:
            raise ConfigurationError(f"{name}.{key} is missing")
    return kind(**values)


def _secret_file(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: {path} cannot be read as text") from error


def _value(kind: Any, description: Field[Any], given: Any, where: str) -> Any:
    value = _of_kind(kind, given, where, shown=not description.metadata.get("secret"))
    _check(description.metadata, value, where)
    return value


def _of_kind(kind: Any, given: Any, where: str, *, shown: bool) -> Any:
    from_text = where.startswith(PREFIX)
    if kind is bool and (isinstance(given, bool) or (from_text and given.lower() in _TRUE | _FALSE)):
        return given if isinstance(given, bool) else given.lower() in _TRUE
    if kind is int and not isinstance(given, bool) and (isinstance(given, int) or (from_text and given.isdecimal())):
        return int(given)
    if kind in (str, Path) and isinstance(given, str) and "\0" not in given:
        return kind(given)
    if kind == tuple[str, ...]:
        parts = [part.strip() for part in given.split(",") if part.strip()] if from_text else given
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            return tuple(parts)
    wanted = {bool: "true or false", int: "a whole number", tuple[str, ...]: "a list of strings"}.get(kind, "a string")
    raise ConfigurationError(f"{where}: expected {wanted}" + (f", got {given!r}" if shown else ""))


def _check(rules: Mapping[str, Any], value: Any, where: str) -> None:
    if "range" in rules and not rules["range"][0] <= value <= rules["range"][1]:
        low, high = rules["range"]
        raise ConfigurationError(f"{where}: expected a number from {low} to {high}, got {value}")
    if "choices" in rules and value not in rules["choices"]:
        raise ConfigurationError(f'{where}: expected one of {", ".join(rules["choices"])}, got "{value}"')
    if value and "url" in rules and not _is_url(value):
        raise ConfigurationError(f'{where}: expected a URL such as http://192.0.2.5:8080, got "{value}"')
    if value and "host" in rules and not _HOST.fullmatch(value):
        raise ConfigurationError(f'{where}: expected a name or an address of at most 50 characters, got "{value}"')
    for address in (value if isinstance(value, tuple) else [value]) if "address" in rules else ():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ConfigurationError(f'{where}: expected an IP address such as 192.0.2.5, got "{address}"') from None
    for mac in value if "mac" in rules else ():
        try:
            Mac.parse(mac)
        except Invalid as error:
            raise ConfigurationError(f'{where}: {error.fields["mac"][0]}, got "{mac}"') from None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
