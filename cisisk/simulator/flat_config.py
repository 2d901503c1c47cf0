"""The flat config of a 7940 or 7960 with SIP firmware (docs/phone-protocol/sep-xml.md#flat-configs)."""

import re

from cisisk.simulator.running_config import LineAtProxy, RunningConfig

_SETTING = re.compile(r'^[ \t]*(\w+)[ \t]*:[ \t]*(?:"([^"\n]*)"|([^";\n]*))', re.MULTILINE | re.ASCII)
_SIP_PORT = 5060
_EXPIRES = 3600


def read_flat(document: bytes) -> RunningConfig:
    """Return the running config of a phone with this ``SIP<MAC>.cnf``. Lines that set nothing are ignored."""
    text = document.decode(errors="replace")
    values = {name.lower(): (quoted or plain).strip() for name, quoted, plain in _SETTING.findall(text)}
    name, proxy = values.get("line1_name", ""), values.get("proxy1_address", "")
    line = LineAtProxy(
        name=name,
        contact=name,
        host=proxy,
        port=int(values.get("proxy1_port") or _SIP_PORT),
        is_tcp=False,
        auth_name=values.get("line1_authname") or name,
        auth_password=values.get("line1_password", ""),
        expires=_EXPIRES,
    )
    return RunningConfig(
        load=values.get("image_version", ""),
        user_locale=None,
        network_locale=None,
        extra_files=(),
        authentication_url="",
        web_access="1",
        settings_access="1",
        line=name,
        contact=name,
        has_call_manager=False,
        services_url=values.get("services_url", ""),
        directory_url=values.get("directory_url", ""),
        services=(),
        registers=line if name and proxy else None,
    )
