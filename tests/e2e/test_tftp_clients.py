"""Third-party TFTP clients fetch a switched config; no client reads outside the served directory."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from cisisk.provisioning.tftp import wire
from tests.e2e.running_site import Site
from tests.patience import PATIENCE

CLIENTS = {
    "tftp": ["tftp", "-m", "binary", "{host}", "{port}", "-c", "get", "{name}", "{local}"],
    "atftp": ["atftp", "--get", "--remote-file", "{name}", "--local-file", "{local}", "{host}", "{port}"],
    "busybox": ["busybox", "tftp", "-g", "-r", "{name}", "-l", "{local}", "{host}", "{port}"],
    "curl": ["curl", "-s", "-o", "{local}", "tftp://{host}:{port}/{name}"],
}


@pytest.mark.parametrize(
    "client", [pytest.param(client, marks=pytest.mark.needs(client)) for client in CLIENTS], ids=list(CLIENTS)
)
async def test_third_party_client_receives_switched_config_unchanged(site: Site, tmp_path: Path, client: str) -> None:
    text = site.config("201" * 1000)
    mac = site.new_mac()
    await site.switch(await site.profile("201", cnf_xml=text), mac)
    assert site.running.tftp_address
    host, port = site.running.tftp_address
    local = tmp_path / "fetched"
    command = [part.format(host=host, port=port, name=mac.config_name, local=local) for part in CLIENTS[client]]
    process = await asyncio.create_subprocess_exec(*command)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert local.read_bytes() == text.encode()


def ask(site: Site, name: bytes) -> wire.Packet:
    """Return the first answer to a request for ``name``, and end the transfer with an error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(b"\0\1" + name + b"\0octet\0", site.running.tftp_address or ("", 0))
        datagram, peer = client.recvfrom(2048)
        client.sendto(wire.error(wire.ErrorCode.UNDEFINED, "seen"), peer)
        return wire.parse(datagram)


@pytest.fixture
def outside(site: Site) -> bytes:
    """Put a secret beside the served directory and links to it inside; return the secret's folder name."""
    sibling = site.root.with_name(site.root.name + "-evil")
    sibling.mkdir()
    (sibling / "secret").write_bytes(b"secret")
    (site.root / "link").symlink_to(sibling / "secret")
    (site.root / "folder").symlink_to(sibling)
    os.mkfifo(site.root / "pipe")
    (site.root / "real").mkdir()
    (site.root / ".hidden").write_bytes(b"secret")
    return site.root.name.encode() + b"-evil"


@pytest.mark.parametrize(
    "name",
    [
        b"../%s/secret",
        b"..\\%s\\secret",
        b"real/../../%s/secret",
        b"/../%s/secret",
        b"C:\\..\\%s\\secret",
        b"....//%s/secret",
        b"/etc/passwd",
        b"\\etc\\passwd",
        b"link",
        b"folder/secret",
        b"folder\\secret",
        b"pipe",
        b"real",
        b"real/",
        b".",
        b".hidden",
        b".cisisk/",
        b"../../cisisk.db",
        b"SEP001122334455.cnf.xml",
        b"\xff\xfe\xfd",
        b"x" * 480,
        b"caf\xc3\xa9",
    ],
)
async def test_file_name_outside_served_directory_is_not_found(site: Site, outside: bytes, name: bytes) -> None:
    asked = name % outside if b"%s" in name else name
    answer = await asyncio.to_thread(ask, site, asked)
    assert answer == wire.Error(wire.ErrorCode.NOT_FOUND, "File not found")


@pytest.mark.parametrize(
    "name", [b"ring.raw\0../%s/secret", b"../%s/secret\0", b"\0../%s/secret", b"x\0\0../%s/secret"]
)
async def test_file_name_with_zero_byte_is_refused(site: Site, outside: bytes, name: bytes) -> None:
    def answer() -> wire.Packet:
        """Return the first answer. An empty request gets none, so a valid request follows."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(b"\0\1" + name % outside + b"\0octet\0", site.running.tftp_address or ("", 0))
            client.sendto(wire.read_request("absent"), site.running.tftp_address or ("", 0))
            return wire.parse(client.recv(2048))

    assert isinstance(await asyncio.to_thread(answer), wire.Error)


async def test_file_name_ignores_case_separators_and_leading_slash(site: Site) -> None:
    mac = site.new_mac()
    await site.switch(await site.profile("201"), mac)
    name = mac.config_name.encode()
    for asked in (name, name.lower(), name.upper(), b"/" + name, b"\\" + name, b"C:\\" + name):
        answer = await asyncio.to_thread(ask, site, asked)
        assert isinstance(answer, wire.Data)
        assert answer.payload == site.config("201").encode()[:512]
