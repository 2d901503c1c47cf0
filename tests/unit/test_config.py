from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk import config
from cisisk.config import Settings, build, load
from cisisk.model.errors import ConfigurationError

SECRET = "sentinel7331"


def refusal(tables: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as refused:
        build(tables, environ or {})
    return str(refused.value)


def every_key() -> list[tuple[str, str, Any, Field[Any]]]:
    """Return section, key, type and field of each setting."""
    return [
        (section, key.name, get_type_hints(kind)[key.name], key)
        for section, kind in get_type_hints(Settings).items()
        for key in fields(kind)
    ]


def another(kind: Any, key: Field[Any]) -> tuple[Any, str]:
    """Return a valid value that is not the default, and its form in a variable."""
    rules = key.metadata
    if "choices" in rules:
        return rules["choices"][-1], rules["choices"][-1]
    if "range" in rules:
        return rules["range"][1], str(rules["range"][1])
    if kind is bool:
        return not key.default, str(not key.default).lower()
    if kind == tuple[str, ...]:
        two = ("AA:BB:CC:DD:EE:7F", "aabb.ccdd.ee80") if "mac" in rules else ("192.0.2.1", "192.0.2.2")
        two = ("12:30", "20:00") if key.name == "logout_at" else two
        return two, f"{two[0]}, {two[1]},"
    if kind is Path:
        return Path("/somewhere/else"), "/somewhere/else"
    text = {"port_range": "40000-40999", "public_url": "http://192.0.2.5:8080", "root": "/srv/tftp"}
    text |= {"default_call_manager": "pbx.example.org", "passive_ports": "40000-40999"}
    value = "192.0.2.5" if rules.get("address") else text.get(key.name, "another text")
    return value, value


# Valid settings


def test_build_empty_gives_documented_defaults() -> None:
    usual = build({}, {})
    assert usual == Settings()
    assert (usual.server.host, usual.server.port, usual.server.tls_port) == ("0.0.0.0", 8080, 8443)
    assert (usual.server.environment, usual.server.public_url) == ("production", "")
    assert usual.server.trusted_proxies == ()
    assert usual.data.dir == Path("/var/lib/cisisk")
    assert usual.served_root == Path("/var/lib/cisisk/tftpboot")
    assert usual.provisioning.max_config_bytes == 524288
    assert (usual.tftp.enabled, usual.tftp.port, usual.tftp.max_transfers) == (True, 69, 4096)
    assert usual.tftp.reply_ports is None
    assert (usual.phone_http.username, usual.phone_http.password) == ("", "")
    assert (usual.auth.access_token_minutes, usual.auth.refresh_token_days) == (15, 30)
    assert not usual.auth.public_register
    assert (usual.log.level, usual.log.format) == ("info", "text")


@pytest.mark.parametrize(("section", "key", "kind", "description"), every_key(), ids=lambda value: str(value)[:20])
def test_build_environment_overrides_file_for_every_key(
    section: str, key: str, kind: Any, description: Field[Any]
) -> None:
    value, text = another(kind, description)
    # Some settings are valid only in pairs.
    pair = {"tls_cert": "tls_key", "tls_key": "tls_cert"}.get(key)
    written = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    from_file = {section: {key: written, **({pair: "pair"} if pair else {})}}
    others = {"asterisk": {"host": "192.0.2.9"}} if key == "idle_minutes" else {}
    assert getattr(getattr(build({**others, **from_file}, {}), section), key) == value != description.default
    default = description.default
    usual = list(default) if isinstance(default, tuple) else str(default) if isinstance(default, Path) else default
    environ = {f"CISISK_{section}__{key}".upper(): text}
    overridden = build({**others, section: {key: usual, **({pair: "pair"} if pair else {})}}, environ)
    assert getattr(getattr(overridden, section), key) == value


@pytest.mark.parametrize("text", ["1", "true", "TRUE", "Yes", "on"])
def test_build_variable_accepts_forms_of_true(text: str) -> None:
    assert build({}, {"CISISK_AUTH__PUBLIC_REGISTER": text}).auth.public_register


@pytest.mark.parametrize("text", ["0", "false", "False", "NO", "off"])
def test_build_variable_accepts_forms_of_false(text: str) -> None:
    assert not build({}, {"CISISK_TFTP__ENABLED": text}).tftp.enabled


@pytest.mark.parametrize(("text", "methods"), [("", ()), (",", ()), ("a", ("a",)), (" a ,b,, c ", ("a", "b", "c"))])
def test_build_variable_splits_lists_at_commas(text: str, methods: tuple[str, ...]) -> None:
    assert build({}, {"CISISK_RESTART__SIP": text}).restart.sip == methods


def test_build_ignores_variables_of_other_programs() -> None:
    others = {"PATH": "/bin", "CISISK_ADMIN_PASSWORD": SECRET, "CISISK_PORT": "tcp://10.0.0.1:80", "XCISISK_A__B": "x"}
    assert build({}, others) == Settings()


# Invalid settings


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"sever": {}}, "unknown section sever"),
        ({"port": 8080}, "unknown section port"),
        ({"server": {"prot": 1}}, "unknown key server.prot"),
        ({"server": {"Port": 1}}, "unknown key server.Port"),
        ({"server": {"port ": 1}}, "unknown key server.port "),
        ({"server": {"": 1}}, "unknown key server."),
        ({"": {}}, "unknown section "),
        ({"SERVER": {"port": 1}}, "unknown section SERVER"),
        ({"server": {"tftp": {"port": 69}}}, "unknown key server.tftp"),
        ({"nonsense": {"deeper": {"deepest": [1]}}}, "unknown section nonsense"),
        ({"log": {"level": "info", "more": {}}}, "unknown key log.more"),
    ],
)
def test_build_unknown_key_is_refused_by_name(tables: Mapping[str, Any], named: str) -> None:
    text = refusal(tables)
    assert text.startswith(f"{named}; known are ")
    assert "server" in text or "log." in text


@pytest.mark.parametrize(
    "variable",
    [
        "CISISK_SERVER__PROT",
        "CISISK_SEVER__PORT",
        "CISISK_SERVER__PORT__DEEPER",
        "CISISK__PORT",
        "CISISK_SERVER__",
        "CISISK_server__port",
        "CISISK_SERVER__PORT_FILE",
        "CISISK_DATA__DIR_FILE",
        "CISISK_PHONE_HTTP__PASSWORD_FILE_FILE",
    ],
)
def test_build_unknown_variable_is_refused_without_its_value(variable: str) -> None:
    assert refusal({}, {variable: SECRET}) == f"unknown setting {variable}"


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        ({"server": []}, "server: expected a table such as [server]"),
        ({"server": "x"}, "server: expected a table such as [server]"),
        ({"server": [{"port": 1}]}, "server: expected a table such as [server]"),
        ({"server": {"port": "8080"}}, "server.port: expected a whole number, got '8080'"),
        ({"server": {"port": True}}, "server.port: expected a whole number, got True"),
        ({"server": {"port": 80.0}}, "server.port: expected a whole number, got 80.0"),
        ({"server": {"port": {"deeper": {}}}}, "server.port: expected a whole number, got {'deeper': {}}"),
        ({"server": {"port": [8080]}}, "server.port: expected a whole number, got [8080]"),
        ({"tftp": {"enabled": 1}}, "tftp.enabled: expected true or false, got 1"),
        ({"tftp": {"enabled": "yes"}}, "tftp.enabled: expected true or false, got 'yes'"),
        ({"data": {"dir": 1}}, "data.dir: expected a string, got 1"),
        ({"data": {"dir": "a\0b"}}, "data.dir: expected a string, got 'a\\x00b'"),
        ({"provisioning": {"root": "\0"}}, "provisioning.root: expected a string, got '\\x00'"),
        ({"server": {"environment": None}}, "server.environment: expected a string, got None"),
        ({"restart": {"sip": "cgi-keys"}}, "restart.sip: expected a list of strings, got 'cgi-keys'"),
        ({"restart": {"sip": ["a", 1]}}, "restart.sip: expected a list of strings, got ['a', 1]"),
    ],
)
def test_build_wrong_type_is_refused_with_expected_type(tables: Mapping[str, Any], text: str) -> None:
    assert refusal(tables) == text


@pytest.mark.parametrize(
    ("variable", "value", "text"),
    [
        ("SERVER__PORT", "", "expected a whole number, got ''"),
        ("SERVER__PORT", "http", "expected a whole number, got 'http'"),
        ("SERVER__PORT", "-1", "expected a whole number, got '-1'"),
        ("SERVER__PORT", "80 ", "expected a whole number, got '80 '"),
        ("SERVER__PORT", "65536", "expected a number from 0 to 65535, got 65536"),
        ("TFTP__ENABLED", "maybe", "expected true or false, got 'maybe'"),
        ("TFTP__ENABLED", "", "expected true or false, got ''"),
        ("LOG__LEVEL", "loud", 'expected one of info, debug, warning, error, got "loud"'),
        ("SERVER__HOST", "pbx", 'expected an IP address such as 192.0.2.5, got "pbx"'),
        (
            "SERVER__TRUSTED_PROXIES",
            "192.0.2.1,10.0.0.0/8",
            'expected an IP address such as 192.0.2.5, got "10.0.0.0/8"',
        ),
    ],
)
def test_build_invalid_variable_is_refused_by_name(variable: str, value: str, text: str) -> None:
    assert refusal({}, {f"CISISK_{variable}": value}) == f"CISISK_{variable}: {text}"


@pytest.mark.parametrize(
    ("section", "key", "low", "high"),
    [
        ("server", "port", 0, 65535),
        ("server", "tls_port", 0, 65535),
        ("tftp", "port", 0, 65535),
        ("provisioning_http", "port", 0, 65535),
        ("ftp", "port", 0, 65535),
        ("fetch_log", "days", 1, 3650),
        ("fetch_log", "rows", 1000, 100_000_000),
        ("tftp", "max_transfers", 1, 65535),
        ("provisioning", "max_config_bytes", 1024, 1 << 20),
        ("phone_http", "timeout", 1, 60),
        ("phone_http", "port", 1, 65535),
        ("auth", "access_token_minutes", 1, 1440),
        ("auth", "refresh_token_days", 1, 365),
    ],
)
def test_build_number_out_of_bounds_is_refused(section: str, key: str, low: int, high: int) -> None:
    for fits in (low, high):
        assert getattr(getattr(build({section: {key: fits}}, {}), section), key) == fits
    for beyond in (low - 1, high + 1, 10**30):
        expected = f"{section}.{key}: expected a number from {low} to {high}, got {beyond}"
        assert refusal({section: {key: beyond}}) == expected


@pytest.mark.parametrize(
    "host", ["", "pbx", "192.0.2.256", "192.0.2.1:80", "[::1]", "0", "http://192.0.2.1", " 192.0.2.1"]
)
def test_build_invalid_listen_address_is_refused(host: str) -> None:
    assert "expected an IP address" in refusal({"tftp": {"host": host}})


@pytest.mark.parametrize("host", ["192.0.2.1", "::", "::1", "2001:db8::5"])
def test_build_accepts_ipv4_and_ipv6_addresses(host: str) -> None:
    assert build({"server": {"host": host}}, {}).server.host == host


@pytest.mark.parametrize(
    "url",
    [
        "192.0.2.5",
        "192.0.2.5:8080",
        "pbx.example.org",
        "//pbx",
        "ftp://pbx",
        "http://",
        "http://:80",
        "http://[::1",
        "http://pbx:port",
    ],
)
def test_build_public_url_without_host_is_refused(url: str) -> None:
    expected = f'server.public_url: expected a URL such as http://192.0.2.5:8080, got "{url}"'
    assert refusal({"server": {"public_url": url}}) == expected


@pytest.mark.parametrize("url", ["http://192.0.2.5", "https://pbx.example.org:8443/", "http://[2001:db8::5]:8080"])
def test_build_accepts_valid_public_url(url: str) -> None:
    assert build({"server": {"public_url": url}}, {}).server.public_url == url


# Contradictions


@pytest.mark.parametrize("given_", [{"tls_cert": "c"}, {"tls_key": "k"}])
def test_build_certificate_without_key_is_refused(given_: dict[str, str]) -> None:
    assert refusal({"server": given_}) == "server.tls_cert and server.tls_key: set both, or neither"
    assert build({"server": {"tls_cert": "c", "tls_key": "k"}}, {}).server.tls_key == "k"
    assert refusal({"ftp": given_}) == "ftp.tls_cert and ftp.tls_key: set both, or neither"


def test_build_root_above_data_directory_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "var" / "cisisk"
    data.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "var")
    for root in (data, data.parent, tmp_path, Path("/"), tmp_path / "link", data / "tftpboot" / ".."):
        text = refusal({"data": {"dir": str(data)}, "provisioning": {"root": str(root)}})
        assert text == "provisioning.root: contains the data directory, which phones must not read. Set another one"
    assert refusal({"data": {"dir": str(tmp_path / "link" / "cisisk")}, "provisioning": {"root": str(data.parent)}})


def test_build_accepts_root_in_or_beside_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "cisisk"
    for root in (data / "served", tmp_path / "tftpboot", tmp_path / "cis", tmp_path / "cisisk-served"):
        assert build({"data": {"dir": str(data)}, "provisioning": {"root": str(root)}}, {}).served_root == root


def test_build_resolves_relative_paths_before_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "phones must not read" in refusal({"data": {"dir": "data"}, "provisioning": {"root": "."}})
    assert build({"data": {"dir": "data"}}, {}).served_root == Path("data/tftpboot")


@pytest.mark.parametrize(
    ("text", "ports"),
    [("", None), ("40000-40999", (40000, 40999)), ("69-69", (69, 69)), ("1-65535", (1, 65535))],
)
def test_build_parses_port_range(text: str, ports: tuple[int, int] | None) -> None:
    assert build({"tftp": {"port_range": text}}, {}).tftp.reply_ports == ports
    assert build({"ftp": {"passive_ports": text}}, {}).ftp.data_ports == ports


@pytest.mark.parametrize(
    "text", ["40000", "40000-", "-40999", "40999-40000", "0-10", "1-65536", "a-b", "1-2-3", "1 - 2", "-", "1--2", "²-³"]
)
def test_build_invalid_port_range_is_refused(text: str) -> None:
    assert refusal({"tftp": {"port_range": text}}) == (
        f'tftp.port_range: expected two ports such as "40000-40999", got "{text}"'
    )
    assert refusal({"ftp": {"passive_ports": text}}).startswith("ftp.passive_ports: expected two ports")


# Secrets


def test_build_reads_secret_from_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    assert build({}, {"CISISK_PHONE_HTTP__PASSWORD_FILE": str(path)}).phone_http.password == SECRET
    both = {"CISISK_PHONE_HTTP__PASSWORD_FILE": str(path), "CISISK_PHONE_HTTP__PASSWORD": "nearer"}
    assert build({}, both).phone_http.password == "nearer"
    in_file = {"phone_http": {"password": "farther"}}
    assert build(in_file, {"CISISK_PHONE_HTTP__PASSWORD_FILE": str(path)}).phone_http.password == SECRET


@pytest.mark.parametrize("content", [None, b"\xff" + SECRET.encode()])
def test_build_unreadable_secret_file_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content:
        path.write_bytes(content)
    text = refusal({}, {"CISISK_PHONE_HTTP__PASSWORD_FILE": str(path)})
    assert text == f"CISISK_PHONE_HTTP__PASSWORD_FILE: {path} cannot be read as text"


def test_settings_repr_hides_secrets() -> None:
    secrets = {
        (section, key.name)
        for section, kind in get_type_hints(Settings).items()
        for key in fields(kind)
        if key.metadata.get("secret")
    }
    assert {("phone_http", "password")} <= secrets
    for section, key in secrets:
        built = build({section: {key: SECRET}}, {})
        assert getattr(getattr(built, section), key) == SECRET
        assert SECRET not in repr(built)
        for wrong in ([SECRET], {SECRET: SECRET}, {"x": SECRET}, f"{SECRET}\0"):
            text = refusal({section: {key: wrong}})
            assert text == f"{section}.{key}: expected a string"


def test_settings_mark_every_secret_field() -> None:
    for section, key, _, description in every_key():
        if any(word in key for word in ("password", "secret")):
            assert description.metadata.get("secret"), f"{section}.{key}"
            assert not description.repr


@pytest.mark.parametrize(
    "line", [f"password = {SECRET}", f'password = "a" {SECRET}', f"password = '''{SECRET}", f'password = "{SECRET}\n']
)
def test_load_syntax_error_does_not_show_secret(tmp_path: Path, line: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[phone_http]\n{line}")
    with pytest.raises(ConfigurationError, match=f"{path} is not valid TOML: ") as refused:
        load(path, {})
    assert SECRET not in str(refused.value)


# Sources


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    (tmp_path / "here").mkdir()
    (tmp_path / "etc").mkdir()
    paths = (tmp_path / "here" / "config.toml", tmp_path / "etc" / "config.toml")
    monkeypatch.setattr(config, "SEARCHED", paths)
    return paths


def test_searched_paths_are_documented_ones() -> None:
    assert [str(path) for path in config.SEARCHED] == ["config.toml", "/etc/cisisk/config.toml"]


def test_load_reads_only_first_existing_file(searched: tuple[Path, Path]) -> None:
    here, etc = searched
    assert load(None, {}) == Settings()
    etc.write_text("[server]\nport = 2\ntls_port = 2")
    assert load(None, {}).server.port == 2
    here.write_text("[server]\nport = 1")
    assert (load(None, {}).server.port, load(None, {}).server.tls_port) == (1, 8443)
    assert load(None, {"CISISK_SERVER__PORT": "3"}).server.port == 3
    assert load(etc, {}).server.port == 2
    here.unlink()
    here.mkdir()
    assert load(None, {}).server.port == 2


def test_load_missing_named_file_is_refused(tmp_path: Path, searched: tuple[Path, Path]) -> None:
    searched[0].write_text("")
    with pytest.raises(ConfigurationError, match=r"absent\.toml cannot be read: No such file or directory"):
        load(tmp_path / "absent.toml", {})
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    "content", [b"[server", b"port", b"[server]\nport = 1\nport = 2", b"\xff\xfe", b"[server]\nport = " + b"9" * 5000]
)
def test_load_invalid_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{path} is not valid TOML"):
        load(path, {})


def test_load_uses_process_environment_by_default(searched: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISISK_SERVER__PORT", "4711")
    assert load().server.port == 4711


def test_build_invalid_decoy_is_refused() -> None:
    message = refusal({"provisioning": {"decoys": ["AA:BB:CC:DD:EE:7F", "no mac"]}})
    assert message == 'provisioning.decoys: Not a MAC address such as AA:BB:CC:DD:EE:01, got "no mac"'


@pytest.mark.parametrize("host", ["two words", "http://192.0.2.10", "a" * 51, "<host>"])
def test_build_invalid_call_manager_is_refused(host: str) -> None:
    assert refusal({"provisioning": {"default_call_manager": host}}).startswith(
        "provisioning.default_call_manager: expected a name or an address"
    )


# Any input

NAMES = st.sampled_from([name for section, key, *_ in every_key() for name in (section, key)]) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def outcome(tables: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the error message, or an empty string if the settings are valid."""
    try:
        build(tables, environ)
    except ConfigurationError as error:
        return str(error)
    return ""


@given(tables=st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_build_any_tables_returns_or_raises_configuration_error(tables: dict[str, Any]) -> None:
    assert outcome(tables, {}) or set(tables) <= {section.name for section in fields(Settings)}


@given(
    data=st.data(),
    text=st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)
def test_build_any_variable_returns_or_raises_error_with_its_name(data: st.DataObject, text: str) -> None:
    section, key, _, _ = data.draw(st.sampled_from(every_key()))
    variable = f"CISISK_{section}__{key}".upper()
    refused = outcome({}, {variable: text})
    assert not refused or variable in refused or f"{section}.{key}" in refused


@pytest.mark.parametrize("text", ["8:00", "24:00", "noon", "20:00:00"])
def test_build_invalid_time_of_day_is_refused(text: str) -> None:
    refused = refusal({"phone_login": {"logout_at": ["12:30", text]}})
    assert refused == f"phone_login.logout_at: expected a time of the day such as 20:00, got {text!r}"


def test_build_idle_logout_without_asterisk_is_refused() -> None:
    assert refusal({"phone_login": {"idle_minutes": 30}}).startswith("phone_login.idle_minutes: set asterisk.host too")
    tables = {"phone_login": {"idle_minutes": 30}, "asterisk": {"host": "192.0.2.9"}}
    assert build(tables, {}).phone_login.idle_minutes == 30
