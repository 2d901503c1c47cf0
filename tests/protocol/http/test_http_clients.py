"""Third-party HTTP clients and simulated phones."""

import asyncio
import random
import subprocess
from pathlib import Path

import pytest

from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.tftp.server import TftpServer
from cisisk.simulator.boot import BootOutcome
from cisisk.simulator.models import MODELS
from cisisk.simulator.phone import SimulatedPhone
from tests.patience import PATIENCE
from tests.protocol.http.conftest import Serve

FILES = {
    "Desktops/320x212x16/List.xml": b"<list/>",
    "empty.tlv": b"",
    "sip88xx.loads": random.Random(1).randbytes(5 << 20),
}
PROGRAMS = [
    pytest.param(["curl", "-sS", "--fail", "-o"], id="curl", marks=pytest.mark.needs("curl")),
    pytest.param(["curl", "-sS", "--fail", "--http1.0", "-o"], id="curl 1.0", marks=pytest.mark.needs("curl")),
    pytest.param(["wget", "-q", "-O"], id="wget", marks=pytest.mark.needs("wget")),
    pytest.param(["busybox", "wget", "-q", "-O"], id="busybox wget", marks=pytest.mark.needs("busybox")),
]


def run(*command: object) -> int:
    return subprocess.run(list(map(str, command)), timeout=PATIENCE, check=False, capture_output=True).returncode


@pytest.mark.parametrize("cache_bytes", [8 << 20, 0])
@pytest.mark.parametrize("program", PROGRAMS)
def test_client_program_fetches_complete_files(
    http_serve: Serve, tmp_path: Path, program: list[str], cache_bytes: int
) -> None:
    served = http_serve(FILES, cache_bytes=cache_bytes)
    for number, (name, content) in enumerate(FILES.items()):
        into = tmp_path / str(number)
        assert run(*program, into, f"http://127.0.0.1:{served.port}/{name}") == 0
        assert into.read_bytes() == content
        fetch = served.fetch()
        assert (fetch.name, fetch.outcome, fetch.acknowledged) == (name, FetchOutcome.COMPLETED, len(content))


@pytest.mark.parametrize("program", PROGRAMS)
def test_absent_file_fails_in_client_programs(http_serve: Serve, tmp_path: Path, program: list[str]) -> None:
    served = http_serve(FILES)
    assert run(*program, tmp_path / "absent", f"http://127.0.0.1:{served.port}/absent.xml") != 0
    assert served.fetch().outcome is FetchOutcome.ABSENT


@pytest.mark.needs("curl")
def test_one_connection_serves_many_files(http_serve: Serve, tmp_path: Path) -> None:
    served = http_serve(FILES)
    url = f"http://127.0.0.1:{served.port}/"
    wanted = [part for number, name in enumerate(FILES) for part in ("-o", tmp_path / str(number), url + name)]
    assert run("curl", "-sS", "--fail", *wanted) == 0
    assert [(tmp_path / str(number)).read_bytes() for number in range(len(FILES))] == list(FILES.values())
    assert len({served.fetch().peer for _ in FILES}) == 1


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(["curl", "-sS", "--fail", "-C", "-", "-o"], id="curl", marks=pytest.mark.needs("curl")),
        pytest.param(["wget", "-q", "-c", "-O"], id="wget", marks=pytest.mark.needs("wget")),
    ],
)
def test_interrupted_download_can_be_resumed(http_serve: Serve, tmp_path: Path, program: list[str]) -> None:
    served = http_serve(FILES)
    content, into = FILES["sip88xx.loads"], tmp_path / "half"
    into.write_bytes(content[: 2 << 20])
    assert run(*program, into, f"http://127.0.0.1:{served.port}/sip88xx.loads") == 0
    assert into.read_bytes() == content
    assert served.fetch().acknowledged == 3 << 20


@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.http_first])
async def test_newer_phone_requests_absent_files_over_tftp(http_serve: Serve, model: str) -> None:
    mac = Mac.parse("001122334455")
    config = b"<device><fullConfig>true</fullConfig><loadInformation></loadInformation></device>"
    served = http_serve({mac.config_name: config})
    tftp = TftpServer(host="127.0.0.1", port=0, source=served, on_fetch=served.fetches.put, max_transfers=10)
    tftp.start()
    phone = SimulatedPhone(
        mac,
        MODELS[model],
        address="127.0.6.1",
        server="127.0.0.1",
        http_port=served.port,
        tftp_port=tftp.address[1],
        source_port=0,
    )
    try:
        boot = await phone.boot()
        fetches = [await asyncio.to_thread(served.fetch) for _ in boot.attempts]
    finally:
        await asyncio.to_thread(tftp.stop, 0)
    assert (boot.outcome, phone.config) == (BootOutcome.CONFIGURED, config)
    trust_lists = [f"CTLSEP{mac.digits}.tlv", f"ITLSEP{mac.digits}.tlv", "ITLFile.tlv"]
    expected = [(protocol, name, FetchOutcome.ABSENT) for name in trust_lists for protocol in ("http", "tftp")]
    expected.append(("http", mac.config_name, FetchOutcome.COMPLETED))
    assert [(fetch.protocol, fetch.name, fetch.outcome) for fetch in fetches] == expected
    assert {fetch.peer[0] for fetch in fetches} == {"127.0.6.1"}
