"""One file through every door of one appliance: put in by FTP, taken out by four programs, and each of them logged."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.e2e.premises import PASSWORD, Site, opened, settings_for, until
from tests.patience import PATIENCE

TONE = os.urandom(60_001)
"""Neither a whole number of TFTP's blocks nor a text that anything could convert."""
PROGRAMS = ("lftp", "curl", "wget", "tftp")


async def run(*command: object) -> None:
    """Run a program to its good end, while the appliance serves it."""
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


async def take_everywhere(site: Site, folder: Path, tls: Path | None = None) -> dict[str, bytes]:
    """What lftp and curl find over FTP, wget over HTTP and tftp-hpa over TFTP, one after the other."""
    assert site.running.provisioning_http_address
    assert site.running.tftp_address
    taken = {program: folder / program for program in PROGRAMS}
    await lftp(site, f"get ring.raw -o {taken['lftp']}", tls=tls)
    await curl(site, "-o", taken["curl"], tls=tls)
    host, port = site.running.provisioning_http_address
    await run("wget", "-q", "-t", "1", "-O", taken["wget"], f"http://{host}:{port}/ring.raw")
    await run("tftp", "-m", "binary", *site.running.tftp_address, "-c", "get", "ring.raw", taken["tftp"])
    return {program: file.read_bytes() for program, file in taken.items()}


async def logged(site: Site) -> list[tuple[str, str, str, str, int]]:
    """Protocol, name, hash, outcome and confirmed bytes of the last four fetches, in their order, once they are in."""
    rows = await until(lambda: site.data("GET", "/fetches"), lambda found: len(found) >= 4)
    return [
        (row["protocol"], row["name"].lstrip("/"), row["sha256"], row["outcome"], row["acknowledged"])
        for row in reversed(rows)
    ]


def expected(content: bytes) -> list[tuple[str, str, str, str, int]]:
    told = hashlib.sha256(content).hexdigest(), "completed", len(content)
    return [(protocol, "ring.raw", *told) for protocol in ("ftp", "ftp", "http", "tftp")]


@pytest.mark.needs(*PROGRAMS)
async def test_a_ring_tone_put_in_over_ftp_comes_out_of_every_door_and_each_fetch_is_logged(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "ring.raw").write_bytes(TONE)
    await lftp(site, f"put {tmp_path / 'ring.raw'}")
    taken = await take_everywhere(site, tmp_path)
    assert taken == dict.fromkeys(PROGRAMS, TONE)
    assert await logged(site) == expected(TONE)


@pytest.mark.needs("openssl", *PROGRAMS)
async def test_with_a_certificate_it_goes_in_and_comes_out_over_tls_and_phones_get_it_as_before(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=cisisk.test"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    )
    (tmp_path / "ring.raw").write_bytes(TONE)
    ftp = {"tls_cert": str(certificate), "tls_key": str(key)}
    async with opened(settings_for(tmp_path, ftp=ftp)) as site:
        with pytest.raises(AssertionError, match="curl:"):
            await curl(site, "-T", tmp_path / "ring.raw")
        assert await site.data("GET", "/files") == []
        await curl(site, "-T", tmp_path / "ring.raw", tls=certificate)
        taken = await take_everywhere(site, tmp_path, certificate)
        assert taken == dict.fromkeys(PROGRAMS, TONE)
        assert await logged(site) == expected(TONE)
