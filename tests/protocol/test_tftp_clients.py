"""Third-party TFTP clients receive files unchanged."""

import hashlib
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tftpy

from cisisk.provisioning.access.policy import AccessPolicy, Mode
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.library import Library
from cisisk.provisioning.tftp import wire
from tests.protocol.conftest import Serve

FILES = {f"{size}.bin": bytes(index % 251 for index in range(size)) for size in (0, 1, 511, 512, 513, 70_000)}
BLKSIZE = 1024
PATIENCE = 120.0
"""Seconds. A hundred megabytes in lock-step take ten on an idle machine."""

Client = Callable[[int, str, Path, int | None], None]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def tftp_hpa(port: int, name: str, into: Path, _: int | None) -> None:
    run("tftp", "-m", "binary", "127.0.0.1", str(port), "-c", "get", name, str(into))


def atftp(port: int, name: str, into: Path, blksize: int | None) -> None:
    options = ["--option", f"blksize {blksize}"] if blksize else []
    run("atftp", *options, "--get", "--remote-file", name, "--local-file", str(into), "127.0.0.1", str(port))


def busybox(port: int, name: str, into: Path, blksize: int | None) -> None:
    options = ["-b", str(blksize)] if blksize else []
    run("busybox", "tftp", *options, "-g", "-r", name, "-l", str(into), "127.0.0.1", str(port))


def curl(port: int, name: str, into: Path, blksize: int | None) -> None:
    options = ["--tftp-blksize", str(blksize)] if blksize else ["--tftp-no-options"]
    run("curl", "--silent", "--show-error", *options, "--output", str(into), f"tftp://127.0.0.1:{port}/{name}")


def tftpy_client(port: int, name: str, into: Path, blksize: int | None) -> None:
    tftpy.TftpClient("127.0.0.1", port, {"blksize": blksize} if blksize else {}).download(name, str(into), timeout=5)


def program(client: Client, name: str) -> object:
    return pytest.param(client, marks=pytest.mark.needs(name), id=client.__name__)


WITH_BLKSIZE = [program(atftp, "atftp"), program(busybox, "busybox"), program(curl, "curl"), tftpy_client]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("client", [program(tftp_hpa, "tftp"), *WITH_BLKSIZE])
def test_third_party_client_receives_file_unchanged(
    tftp_serve: Serve, tmp_path: Path, client: Client, name: str
) -> None:
    served = tftp_serve(FILES)
    into = tmp_path / "got"
    client(served.port, name, into, None)
    assert into.read_bytes() == FILES[name]
    fetch = served.fetch()
    assert (fetch.outcome, fetch.acknowledged) == (FetchOutcome.COMPLETED, len(FILES[name]))


# Without the empty file: curl treats the correct tsize of 0 as an error.
@pytest.mark.parametrize("name", ["1.bin", "513.bin", "70000.bin"])
@pytest.mark.parametrize("client", WITH_BLKSIZE)
def test_third_party_client_receives_file_in_larger_blocks(
    tftp_serve: Serve, tmp_path: Path, client: Client, name: str
) -> None:
    served = tftp_serve(FILES)
    into = tmp_path / "got"
    client(served.port, name, into, BLKSIZE)
    assert into.read_bytes() == FILES[name]
    fetch = served.fetch()
    assert (fetch.outcome, dict(fetch.options)["blksize"]) == (FetchOutcome.COMPLETED, BLKSIZE)


@pytest.mark.needs("curl")
def test_third_party_client_follows_block_numbers_past_65535(tftp_serve: Serve, tmp_path: Path) -> None:
    served = tftp_serve({"rootfs": bytes(index % 251 for index in range(8 * 65_540))})
    curl(served.port, "rootfs", tmp_path / "got", 8)
    assert (tmp_path / "got").read_bytes() == served.files["rootfs"]
    assert served.fetch().blocks == 65_541


@pytest.mark.slow
@pytest.mark.needs("tftp", "atftp", "curl")
def test_hundred_megabytes_arrive_over_three_rollovers(tftp_serve: Serve, tmp_path: Path) -> None:
    blocks = 3 * wire.BLOCK_NUMBERS + 2
    content = b"".join(block.to_bytes(4, "big") * 128 for block in range(blocks - 1)) + b"the end"
    root, into = tmp_path / "root", tmp_path / "into"
    root.mkdir()
    into.mkdir()
    (root / "image.bin").write_bytes(content)
    served = tftp_serve({}, source=AccessPolicy(Library(root), Mode.OFF))
    clients = [tftp_hpa, atftp, curl]
    with ThreadPoolExecutor() as at_once:  # lock-step clients mostly wait
        for _ in at_once.map(lambda client: client(served.port, "image.bin", into / client.__name__, None), clients):
            pass
    for client in clients:
        got = into / client.__name__
        assert hashlib.sha256(got.read_bytes()).digest() == hashlib.sha256(content).digest(), client.__name__
        got.unlink()
    (root / "image.bin").unlink()
    fetches = [served.fetch() for _ in clients]
    assert {fetch.outcome for fetch in fetches} == {FetchOutcome.COMPLETED}
    assert {(fetch.blocks, fetch.options) for fetch in fetches} == {(blocks, ())}
