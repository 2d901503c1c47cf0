"""Uploads to a full disk: old files stay served, and uploads succeed once there is space."""

import asyncio
import ftplib
import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from cisisk.provisioning.library import Library
from cisisk.provisioning.staging import STAGING, Staged
from tests.e2e.running_site import PASSWORD, Site, open_site, settings_for
from tests.e2e.test_full_disk import Disk, disk, just_before
from tests.patience import PATIENCE

__all__ = ["disk"]

BIG = bytes(range(256)) * 4000


async def put(site: Site, path: str, content: bytes, method: str = "PUT") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {site.token}"}
    async with site.session.request(
        method, f"{site.running.api_url}/api/v1/files{path}", data=content, headers=headers
    ) as response:
        return response.status, (await response.json())["message"]


def zipped(name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, BIG)
    return packed.getvalue()


def staged(site: Site) -> list[Any]:
    return list((site.root / STAGING).iterdir())


async def test_api_upload_on_full_disk_is_refused_until_space_returns(disk: Disk) -> None:
    async with open_site(settings_for(disk.path)) as site:
        config = f"/{site.new_mac().config_name}"
        old, new = site.config("old").encode(), site.config("new" * 3000).encode()
        assert await put(site, "/ring.raw", b"old") == (200, "File uploaded")
        assert await put(site, config, old) == (200, "File uploaded")
        disk.fill()
        for status, message in (
            await put(site, "/ring.raw", BIG),
            await put(site, config, new),
            await put(site, "", zipped("ring.raw"), "POST"),
        ):
            assert status == 503
            assert "No space left on device" in message or "disk is full" in message
        assert await site.data("GET", "/files/ring.raw") == b"old"
        assert await site.data("GET", f"/files{config}") == old
        assert staged(site) == []
        disk.clear()
        assert (await put(site, "/ring.raw", BIG))[0] == 200
        assert (await put(site, config, new))[0] == 200
        assert (await put(site, "", zipped("ring.raw"), "POST"))[0] == 201
        assert await site.data("GET", f"/files{config}") == new
        assert await site.data("GET", "/files/ring.raw") == BIG


def store(site: Site, files: dict[str, bytes]) -> list[str]:
    """Upload files in one FTP session and return the answer to each."""

    def answer(name: str, content: bytes) -> str:
        try:
            return client.storbinary(f"STOR {name}", io.BytesIO(content))
        except ftplib.Error as error:
            return str(error)
        except ConnectionError:
            # The data connection closed early; the control connection carries the reason.
            return client.getmultiline()

    with ftplib.FTP(timeout=PATIENCE) as client:
        assert site.running.ftp_address
        client.connect(*site.running.ftp_address)
        client.login("admin", PASSWORD)
        return [answer(name, content) for name, content in files.items()]


async def test_ftp_upload_on_full_disk_is_refused_until_space_returns(disk: Disk) -> None:
    async with open_site(settings_for(disk.path)) as site:
        config = site.new_mac().config_name
        old = {"ring.raw": b"old", config: site.config("old").encode()}
        new = {"ring.raw": BIG, config: site.config("new" * 3000).encode()}
        served = [f"226 {name} is served from now on" for name in new]
        assert await asyncio.to_thread(store, site, old) == served
        disk.fill()
        for answer in await asyncio.to_thread(store, site, new):
            assert re.match(r"4\d\d[ -]", answer), answer
            assert "No space left on device" in answer or "disk is full" in answer
        assert {name: await site.data("GET", f"/files/{name}") for name in old} == old
        assert staged(site) == []
        disk.clear()
        assert await asyncio.to_thread(store, site, new) == served
        assert {name: await site.data("GET", f"/files/{name}") for name in new} == new


MOMENTS = {"staging": (Staged, "write"), "sealing": (Staged, "seal"), "publishing": (Library, "publish")}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_disk_full_during_upload_leaves_old_or_new_file(
    disk: Disk, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_site(settings_for(disk.path)) as site:
        assert (await put(site, "/ring.raw", b"old"))[0] == 200
        fill: Callable[[], None] = disk.fill
        just_before(*MOMENTS[moment], fill, monkeypatch)
        status, _ = await put(site, "/ring.raw", BIG)
        served = await site.data("GET", "/files/ring.raw")
        assert (status, served) in ((503, b"old"), (200, BIG))
        assert staged(site) == []
        disk.clear()
        assert (await put(site, "/ring.raw", b"new"))[0] == 200
        assert await site.data("GET", "/files/ring.raw") == b"new"
