"""The disk is full while files are uploaded: what was served still is, and it goes on once there is space."""

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
from tests.e2e.premises import PASSWORD, Site, opened, settings_for
from tests.e2e.test_a_full_disk import Disk, disk, just_before
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


async def test_an_upload_of_any_kind_is_refused_in_words_and_succeeds_once_there_is_space(disk: Disk) -> None:
    async with opened(settings_for(disk.path)) as site:
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
    """What the FTP server answers to each file, in one session."""

    def answer(name: str, content: bytes) -> str:
        try:
            return client.storbinary(f"STOR {name}", io.BytesIO(content))
        except ftplib.Error as error:
            return str(error)
        except ConnectionError:
            # The data connection ended before the last byte; the reason stands in the other one.
            return client.getmultiline()

    with ftplib.FTP(timeout=PATIENCE) as client:
        assert site.running.ftp_address
        client.connect(*site.running.ftp_address)
        client.login("admin", PASSWORD)
        return [answer(name, content) for name, content in files.items()]


async def test_an_upload_over_ftp_is_refused_in_words_and_succeeds_once_there_is_space(disk: Disk) -> None:
    async with opened(settings_for(disk.path)) as site:
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


SPOTS = {"staging": (Staged, "write"), "sealing": (Staged, "seal"), "publishing": (Library, "publish")}


@pytest.mark.parametrize("spot", SPOTS)
async def test_a_disk_that_fills_up_at_any_point_of_an_upload_leaves_the_old_file_or_the_new_one(
    disk: Disk, spot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings_for(disk.path)) as site:
        assert (await put(site, "/ring.raw", b"old"))[0] == 200
        fill: Callable[[], None] = disk.fill
        just_before(*SPOTS[spot], fill, monkeypatch)
        status, _ = await put(site, "/ring.raw", BIG)
        served = await site.data("GET", "/files/ring.raw")
        assert (status, served) in ((503, b"old"), (200, BIG))
        assert staged(site) == []
        disk.clear()
        assert (await put(site, "/ring.raw", b"new"))[0] == 200
        assert await site.data("GET", "/files/ring.raw") == b"new"
