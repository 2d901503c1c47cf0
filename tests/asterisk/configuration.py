"""The configuration of the tests' Asterisk: accounts, lines and an extension to call."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.asterisk.debian import Tree

USERNAME, SECRET = "cisisk", "s3ntinelAsterisk"
CALLED = "600"
"""The extension that answers and waits."""
LINES = range(1000, 1400)
"""One contact each; a new one replaces it."""
SHARED_LINES = range(2000, 2050)
"""Several contacts each, and stale ones stay until they expire."""
LINES_OF_PHONES = range(3000, 3050)
"""The first and the second of each ten are lines of one endpoint, named ``phone-`` and the first line."""


@dataclass(frozen=True)
class Ports:
    """Where Asterisk listens on 127.0.0.1.

    Attributes:
        sip: UDP and TCP.
    """

    sip: int
    ami: int
    ami_tls: int


@dataclass(frozen=True)
class Account:
    """An account of the manager interface.

    Attributes:
        permit: the network it may log in from.
    """

    name: str = USERNAME
    secret: str = SECRET
    read: str = "system,call"
    write: str = "system,reporting"
    permit: str = "127.0.0.0/255.0.0.0"


def password(line: int | str) -> str:
    """Return the password of a line."""
    return f"pw-{line}"


def write(directory: Path, tree: Tree, ports: Ports, accounts: Iterable[Account], channel: str) -> None:
    """Write every file of the configuration."""
    etc = directory / "etc"
    for name in ("etc", "var", "run", "log", "spool"):
        (directory / name).mkdir()
    files = {
        "asterisk.conf": _asterisk(directory, tree),
        "modules.conf": _modules(channel),
        "logger.conf": "[logfiles]\nconsole => notice,warning,error,verbose\n",
        "manager.conf": _manager(directory, ports, accounts),
        "extensions.conf": f"[phones]\nexten => {CALLED},1,Answer()\n same => n,Wait(600)\n",
        "rtp.conf": "[general]\nrtpstart=32800\nrtpend=60999\n",
    }
    files |= _pjsip(ports) if channel == "pjsip" else _chan_sip(ports)
    for name, text in files.items():
        (etc / name).write_text(text, "utf-8")
    if shutil.which("openssl"):
        _write_certificate(certificate_in(directory))


def certificate_in(directory: Path) -> Path:
    """Return the file of the certificate and the key for the manager interface over TLS."""
    return directory / "etc" / "ami.pem"


def _write_certificate(path: Path) -> None:
    names = ("-subj", "/CN=asterisk.test", "-addext", "subjectAltName=IP:127.0.0.1")
    key = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        str(path.with_suffix(".key")),
    )
    command = ["openssl", "req", "-x509", *key, "-days", "2", *names, "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    with path.open("ab") as file:
        file.write(path.with_suffix(".key").read_bytes())


def _asterisk(directory: Path, tree: Tree) -> str:
    places = {
        "astetcdir": directory / "etc",
        "astmoddir": tree.modules,
        "astvarlibdir": directory / "var",
        "astdbdir": directory / "var",
        "astkeydir": directory / "var",
        "astdatadir": tree.data,
        "astagidir": directory / "var",
        "astspooldir": directory / "spool",
        "astrundir": directory / "run",
        "astlogdir": directory / "log",
    }
    lines = (f"{name} => {place}" for name, place in places.items())
    return "\n".join(("[directories]", *lines, "[options]", "nocolor = yes", ""))


def _modules(channel: str) -> str:
    other = "chan_sip.so" if channel == "pjsip" else "chan_pjsip.so"
    return f"[modules]\nautoload=yes\nnoload={other}\n"


def _manager(directory: Path, ports: Ports, accounts: Iterable[Account]) -> str:
    certificate = certificate_in(directory)
    general = (
        f"[general]\nenabled=yes\nbindaddr=127.0.0.1\nport={ports.ami}\n"
        f"tlsenable=yes\ntlsbindaddr=127.0.0.1:{ports.ami_tls}\ntlscertfile={certificate}\ntlsprivatekey={certificate}\n"
    )
    each = (
        f"[{account.name}]\nsecret={account.secret}\ndeny=0.0.0.0/0.0.0.0\npermit={account.permit}\n"
        f"read={account.read}\nwrite={account.write}\n"
        for account in accounts
    )
    return general + "".join(each)


def _pjsip(ports: Ports) -> dict[str, str]:
    parts = ["[global]\ntype=global\nuser_agent=Asterisk\n"]
    parts += [f"[{kind}]\ntype=transport\nprotocol={kind}\nbind=127.0.0.1:{ports.sip}\n" for kind in ("udp", "tcp")]
    parts += [
        "[line](!)\ntype=endpoint\ncontext=phones\ndisallow=all\nallow=ulaw\ndirect_media=no\n",
        "[one](!)\ntype=aor\nmax_contacts=1\nremove_existing=yes\nminimum_expiration=1\n",
        "[several](!)\ntype=aor\nmax_contacts=10\nminimum_expiration=1\n",
    ]
    for lines, aor in ((LINES, "one"), (SHARED_LINES, "several")):
        for line in lines:
            parts += [f"[{line}](line)\nauth={line}\naors={line}\n", _auth(line), f"[{line}]({aor})\n"]
    for first in LINES_OF_PHONES[::10]:
        name = f"phone-{first}"
        parts += [
            f"[{name}](line)\nauth={name}\naors={first},{first + 1}\nidentify_by=auth_username,username\n",
            _auth(name),
            *(f"[{line}](one)\n" for line in (first, first + 1)),
        ]
    # Without its file, the module of PJSIPNotify does not load.
    return {"pjsip.conf": "\n".join(parts), "pjsip_notify.conf": ""}


def _auth(name: int | str) -> str:
    return f"[{name}]\ntype=auth\nauth_type=userpass\nusername={name}\npassword={password(name)}\n"


def _chan_sip(ports: Ports) -> dict[str, str]:
    at = f"127.0.0.1:{ports.sip}"
    general = (
        f"[general]\ncontext=phones\nbindaddr={at}\ntcpenable=yes\ntcpbindaddr={at}\ntransport=udp,tcp\n"
        "minexpiry=1\ncallcounter=yes\nnat=no\n"
    )
    lines = (f"[{line}]\ntype=friend\nhost=dynamic\nsecret={password(line)}\n" for line in LINES)
    return {"sip.conf": "\n".join((general, *lines)), "sip_notify.conf": ""}
