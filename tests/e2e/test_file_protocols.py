"""Upload a file over FTP and fetch it over FTP, HTTP and TFTP with four programs; the fetch log names each fetch."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.e2e.running_site import PASSWORD, Site, open_site, settings_for, until
from tests.patience import PATIENCE

TONE = os.urandom(60_001)
"""Not a whole number of TFTP blocks, and not text that a client could convert."""
PROGRAMS = ("lftp", "curl", "wget", "tftp")


async def run(*command: object) -> None:
    """Run a program while the appliance serves it, and check that it succeeds."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode()


async def lftp(site: Site, script: str, *, tls: Path | None = None) -> None:
    assert site.running.ftp_address
    host, port = site.running.ftp_address
    trust = f"set ssl:ca-file {tls}; set ftp:ssl-force yes" if tls else "set ftp:ssl-allow no"
    settings = f"set cmd:fail-exit yes; set net:max-retries 1; {trust}"
    await run("lftp", "-p", port, "-u", f"admin,{PASSWORD}", "-e", f"{settings}; {script}; bye", host)


async def curl(site: Site, *arguments: object, tls: Path | None = None) -> None:
    assert site.running.ftp_address
    host, port = site.running.ftp_address
    trust = ("--ssl-reqd", "--cacert", tls) if tls else ()
    await run("curl", "-sS", "--user", f"admin:{PASSWORD}", *trust, *arguments, f"ftp://{host}:{port}/ring.raw")


async def fetch_with_all_programs(site: Site, folder: Path, tls: Path | None = None) -> dict[str, bytes]:
    """Fetch the file with lftp and curl over FTP, wget over HTTP and tftp-hpa over TFTP, in this order."""
    assert site.running.provisioning_http_address
    assert site.running.tftp_address
    fetched = {program: folder / program for program in PROGRAMS}
    await lftp(site, f"get ring.raw -o {fetched['lftp']}", tls=tls)
    await curl(site, "-o", fetched["curl"], tls=tls)
    host, port = site.running.provisioning_http_address
    await run("wget", "-q", "-t", "1", "-O", fetched["wget"], f"http://{host}:{port}/ring.raw")
    await run("tftp", "-m", "binary", *site.running.tftp_address, "-c", "get", "ring.raw", fetched["tftp"])
    return {program: file.read_bytes() for program, file in fetched.items()}


async def logged(site: Site) -> list[tuple[str, str, str, str, int]]:
    """Wait for four fetches; return protocol, name, hash, outcome and confirmed bytes of each, in order."""
    rows = await until(lambda: site.data("GET", "/fetches"), lambda found: len(found) >= 4)
    return [
        (row["protocol"], row["name"].lstrip("/"), row["sha256"], row["outcome"], row["acknowledged"])
        for row in reversed(rows)
    ]


def expected(content: bytes) -> list[tuple[str, str, str, str, int]]:
    result = hashlib.sha256(content).hexdigest(), "completed", len(content)
    return [(protocol, "ring.raw", *result) for protocol in ("ftp", "ftp", "http", "tftp")]


@pytest.mark.needs(*PROGRAMS)
async def test_ftp_upload_is_served_and_logged_over_all_protocols(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ring.raw").write_bytes(TONE)
    await lftp(site, f"put {tmp_path / 'ring.raw'}")
    fetched = await fetch_with_all_programs(site, tmp_path)
    assert fetched == dict.fromkeys(PROGRAMS, TONE)
    assert await logged(site) == expected(TONE)


@pytest.mark.needs("openssl", *PROGRAMS)
async def test_ftps_with_certificate_refuses_plain_uploads_and_serves_all_protocols(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=cisisk.test"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    )
    (tmp_path / "ring.raw").write_bytes(TONE)
    ftp = {"tls_cert": str(certificate), "tls_key": str(key)}
    async with open_site(settings_for(tmp_path, ftp=ftp)) as site:
        with pytest.raises(AssertionError, match="curl:"):
            await curl(site, "-T", tmp_path / "ring.raw")
        assert await site.data("GET", "/files") == []
        await curl(site, "-T", tmp_path / "ring.raw", tls=certificate)
        fetched = await fetch_with_all_programs(site, tmp_path, certificate)
        assert fetched == dict.fromkeys(PROGRAMS, TONE)
        assert await logged(site) == expected(TONE)
