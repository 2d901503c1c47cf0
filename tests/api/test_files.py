"""The files of the library over the API."""

import asyncio
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cisisk.api.limits import ApiLimits
from cisisk.appliance.limits import Limits
from cisisk.provisioning.staging import STAGING
from cisisk.provisioning.uploads import UploadLimits
from tests.api.client import CONFIG, Answer, Site, check_error, check_metadata
from tests.api.conftest import SiteWith
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")

RING = b"\x7f\xff" * 4000
LOADS = b"\0\1SIP45.9-4-2SR3-1S\0jar45sip.9-4-2ES26.sbn\0cnu45.9-4-2ES26.sbn\n"
"""The loads file of a firmware with two parts."""
LIMITS = Limits(directory_refresh_seconds=0.5)


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def upload(site: Site, path: str, content: bytes, **headers: str) -> Answer:
    return await site.admin.request("PUT", f"/files/{path}", content=content, **headers)


async def unpack(site: Site, archive: bytes) -> Answer:
    return await site.admin.request("POST", "/files", content=archive)


async def rows(site: Site, action: str) -> list[dict[str, Any]]:
    return [row for row in await site.admin.whole_audit_log() if row["action"] == action]


def staged_files(site: Site) -> list[str]:
    """Return the files in the staging directory."""
    return [path.name for path in (site.settings.served_root / STAGING).iterdir()]


def name_of(mac: str) -> str:
    return f"SEP{mac.replace(':', '')}.cnf.xml"


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


async def test_file_is_uploaded_served_listed_and_deleted(site: Site) -> None:
    path = f"Desktops/320x212x16/{site.name()}.png"
    answer = await upload(site, path, RING)
    assert answer.message == "File uploaded"
    assert {**answer.data, "modified_at": None} == {
        "path": path, "size": len(RING), "modified_at": None, "kind": "background", "firmware": None,
    }  # fmt: skip
    assert (site.settings.served_root / path).read_bytes() == RING
    listed = await site.admin.get(f"/files?kind=background&q={path.upper()}")
    check_metadata(listed, frozenset({"total", "limit", "offset"}))
    assert listed.message == "1 file(s) found"
    assert listed.data == [answer.data]
    down = await site.admin.get(f"/files/{path}")
    assert (down.status, down.content, down.headers["Content-Length"]) == (200, RING, str(len(RING)))
    assert down.headers["Content-Type"] == "application/octet-stream"
    assert down.etag == answer.etag
    head = await site.admin.request("HEAD", f"/files/{path}")
    assert (head.status, head.content, head.headers["Content-Length"]) == (200, b"", str(len(RING)))
    gone = await site.admin.delete(f"/files/{path}")
    assert (gone.status, gone.message, gone.body["data"]) == (200, "File deleted", None)
    check_error(await site.admin.get(f"/files/{path}"), 404)
    check_error(await site.admin.delete(f"/files/{path}"), 404)
    assert not (site.settings.served_root / path).parent.exists()


async def test_file_change_has_audit_row(site: Site) -> None:
    path = f"{site.name()}.raw"
    await upload(site, path, RING)
    await site.admin.delete(f"/files/{path}")
    for action in ("file.uploaded", "file.deleted"):
        (row,) = [row for row in await rows(site, action) if row["entity_uuid"] == path]
        assert (row["user_uuid"], row["ip"]) == (site.admin_uuid, "127.0.0.1")
        assert row["payload"] == {"path": path, "size": len(RING)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=path", ["a.raw", "b.jar", "c.raw"]),
        ("sort=-size", ["a.raw", "c.raw", "b.jar"]),
        ("sort=path&limit=1&offset=1", ["b.jar"]),
        ("kind=ring_tone&sort=-path", ["c.raw", "a.raw"]),
        ("kind=locale", ["b.jar"]),
        ("kind=firmware", []),
    ],
)
async def test_file_list_is_searched_sorted_and_paged(site: Site, query: str, expected: list[str]) -> None:
    for name, size in (("a.raw", 300), ("b.jar", 100), ("c.raw", 200)):
        await upload(site, f"listed/{name}", bytes(size))
    answer = await site.admin.get(f"/files?q=listed/&{query}")
    assert [file["path"].partition("/")[2] for file in answer.data] == expected
    if "limit" in query:
        assert (answer.metadata["total"], answer.metadata["limit"], answer.metadata["offset"]) == (3, 1, 1)


@pytest.mark.parametrize("query", ["sort=owner", "kind=song", "limit=0"])
async def test_file_list_with_invalid_query_is_422(site: Site, query: str) -> None:
    check_error(await site.admin.get(f"/files?{query}"), 422)


@pytest.mark.parametrize(
    "path",
    [
        *(".hidden", ".cisisk/x", "a/.b", "%2e%2e/x", "a/%2e%2e/b", "a//b", "%2Fetc/passwd", "a%5Cb.xml", "c:ring.raw"),
        *("a%00b", "a%0ab", "a%E2%80%AEb", "a/b/c/d/e/f", "x" * 256),
        *("sepaabbccddee01.cnf.xml", "Desktops/SEPAABBCCDDEE01.cnf.xml", "SEP000000000000.cnf.xml"),
    ],
)
async def test_upload_with_invalid_name_is_refused(site: Site, path: str) -> None:
    before = sorted(site.settings.served_root.rglob("*"))
    answer = await upload(site, path, RING)
    check_error(answer, 422)
    assert set(answer.fields) == {"path"}
    assert sorted(site.settings.served_root.rglob("*")) == before


async def test_upload_with_name_in_other_case_is_refused(site: Site) -> None:
    await upload(site, "Cased/Ring.raw", RING)
    for path, said in (
        ("Cased/ring.RAW", "Cased/Ring.raw exists already"),
        ("cased/Other.raw", "The folder Cased exists already"),
        ("Cased", "Cased is a folder"),
        ("Cased/Ring.raw/x", "Cased/Ring.raw is a file"),
    ):
        answer = await upload(site, path, b"other")
        check_error(answer, 409)
        assert said in answer.message
    assert (await site.admin.get("/files/Cased/Ring.raw")).content == RING
    assert staged_files(site) == []


async def test_uploaded_config_is_adopted_and_adds_phone(site: Site) -> None:
    mac = site.mac()
    answer = await upload(site, name_of(mac), CONFIG.encode())
    assert answer.data["kind"] == "config"
    phone = (await site.admin.get(f"/phones/{mac}")).data
    assert phone["served_sha256"] == hashlib.sha256(CONFIG.encode()).hexdigest()
    assert (phone["drifted_at"], phone["current_profile_uuid"]) == (None, None)
    assert (await site.admin.get(f"/phone-config/{mac}")).content == CONFIG.encode()
    (row,) = [row for row in await rows(site, "config.adopted") if row["entity_uuid"] == mac]
    assert row["user_uuid"] == site.admin_uuid


async def test_uploaded_invalid_config_keeps_old_one(site: Site) -> None:
    mac = site.mac()
    await upload(site, name_of(mac), CONFIG.encode())
    answer = await upload(site, name_of(mac), CONFIG.encode()[:-20])
    assert set(answer.fields) == {"cnf_xml"}
    assert (await site.admin.get(f"/phone-config/{mac}")).content == CONFIG.encode()
    huge = await upload(site, name_of(mac), bytes(site.settings.provisioning.max_config_bytes + 1))
    check_error(huge, 413)
    assert staged_files(site) == []


async def test_deleted_config_clears_current_profile(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    await site.admin.post("/phone-profiles/switch", {"profile_uuid": profile, "mac": mac})
    assert (await site.admin.delete(f"/files/{name_of(mac)}")).status == 200
    assert not site.served(mac).exists()
    phone = (await site.admin.get(f"/phones/{mac}")).data
    assert (phone["current_profile_uuid"], phone["served_sha256"], phone["drifted_at"]) == (None, None, None)


async def test_file_change_with_stale_etag_is_412(site: Site) -> None:
    path = f"{site.name()}.raw"
    first = (await upload(site, path, b"first")).etag
    second = (await upload(site, path, b"second", If_Match=first)).etag
    check_error(await upload(site, path, b"third", If_Match=first), 412)
    check_error(await site.admin.delete(f"/files/{path}", If_Match=first), 412)
    check_error(await upload(site, "absent.raw", b"x", If_Match="*"), 412)
    assert (await site.admin.get(f"/files/{path}")).content == b"second"
    assert (await site.admin.delete(f"/files/{path}", If_Match=second)).status == 200


async def test_upload_beyond_limit_is_413(
    site_with: SiteWith,
) -> None:
    async with site_with(Limits(uploads=UploadLimits(max_file_bytes=1000))) as site:
        await check_too_large_uploads(site)


async def check_too_large_uploads(site: Site) -> None:
    assert (await upload(site, "announced.raw", bytes(1000))).status == 200
    check_error(await upload(site, "announced.raw", bytes(1001)), 413)
    url, headers = f"{site.admin.url}/api/v1/files/chunked.raw", {"Authorization": f"Bearer {site.admin.token}"}

    async def chunks() -> Any:
        for _ in range(3):
            yield bytes(500)

    async with site.admin.session.put(url, data=chunks(), headers=headers) as response:
        assert response.status == 413
    assert staged_files(site) == []
    check_error(await site.admin.get("/files/chunked.raw"), 404)


@pytest.mark.parametrize("tenths", range(10))
async def test_upload_interrupted_keeps_old_file(site: Site, tenths: int) -> None:
    path, content = "cut.raw", bytes(range(256)) * 4000
    await upload(site, path, RING)
    host, port = site.admin.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"PUT /api/v1/files/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.admin.token}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content[: len(content) * tenths // 10])
    await writer.drain()
    await until(lambda: staged_files(site) != [])
    writer.transport.abort()
    await until(lambda: staged_files(site) == [])
    assert (await site.admin.get(f"/files/{path}")).content == RING
    del reader


async def test_upload_stalled_is_closed(site_with: SiteWith) -> None:
    async with site_with(Limits(api=ApiLimits(upload_pause_seconds=0.05))) as site:
        await check_stalled_upload_is_closed(site)


async def check_stalled_upload_is_closed(site: Site) -> None:
    host, port = site.admin.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT /api/v1/files/slow.raw HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.admin.token}\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\nhalf".encode())
    assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"HTTP/1.1 422 ")
    assert staged_files(site) == []
    writer.close()
    check_error(await site.admin.get("/files/slow.raw"), 404)


def overwrite(path: Path, content: bytes) -> None:
    """Write a file as another program does."""
    path.write_bytes(content)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- polls the disk
            await asyncio.sleep(0.005)


async def test_firmware_archive_is_unpacked_and_lists_missing_files(site: Site) -> None:
    files = {
        "SIP45.9-4-2SR3-1S.loads": LOADS,
        "jar45sip.9-4-2ES26.sbn": bytes(9000),
        "__MACOSX/._jar45sip.9-4-2ES26.sbn": b"x",
    }
    answer = await unpack(site, zipped({f"cmterm-7945/{name}": content for name, content in files.items()}))
    assert (answer.status, answer.message) == (201, "2 file(s) unpacked")
    assert sorted(file["path"] for file in answer.data["files"]) == sorted(list(files)[:2])
    (loads,) = (await site.admin.get("/files?q=SIP45")).data
    assert loads["firmware"] == {
        "name": "SIP45.9-4-2SR3-1S",
        "parts": ["jar45sip.9-4-2ES26.sbn", "cnu45.9-4-2ES26.sbn"],
        "missing": ["cnu45.9-4-2ES26.sbn"],
    }
    await upload(site, "cnu45.9-4-2ES26.sbn", b"rest")
    (loads,) = (await site.admin.get("/files?q=SIP45")).data
    assert loads["firmware"]["missing"] == []
    assert (await rows(site, "file.unpacked"))[-1]["user_uuid"] == site.admin_uuid


async def test_archive_refused_leaves_no_files(site: Site) -> None:
    before = sorted(site.settings.served_root.rglob("*"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        good, link = tarfile.TarInfo("good.sbn"), tarfile.TarInfo("link.sbn")
        good.size, link.type, link.linkname = 100, tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(good, io.BytesIO(bytes(100)))
        archive.addfile(link)
    for content, said in (
        (packed.getvalue(), "link.sbn is a link"),
        (zipped({"good.sbn": b"x", "../bad.sbn": b"x"}), "../bad.sbn has a path outside"),
        (zipped({"SEPAABBCCDDEE01.cnf.xml": CONFIG.encode()}), "Upload a phone's config as a single file"),
        (b"no archive", "The file is not a zip, tar or tar.gz"),
        (b"", "The file is not a zip, tar or tar.gz"),
        (zipped({}), "The archive contains no files"),
    ):
        answer = await unpack(site, content)
        check_error(answer, 422)
        assert said in answer.message
    check_error(await unpack(site, zipped({"bomb.sbn": bytes(20 << 20)})), 413)
    assert sorted(site.settings.served_root.rglob("*")) == before


async def test_concurrent_uploads_all_succeed(site: Site) -> None:
    macs = [site.mac() for _ in range(12)]
    answers = await asyncio.gather(*(upload(site, name_of(mac), CONFIG.encode()) for mac in macs))
    assert [answer.status for answer in answers] == [200] * 12
    assert staged_files(site) == []


async def test_config_changed_on_disk_is_reported_as_drifted(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    await site.admin.post("/phone-profiles/switch", {"profile_uuid": profile, "mac": mac})
    foreign = CONFIG.replace("101", "666").encode()
    overwrite(site.served(mac), foreign)

    async def phone() -> Any:
        return (await site.admin.get(f"/phones/{mac}")).data

    async with asyncio.timeout(PATIENCE):
        while (await phone())["drifted_at"] is None:  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.05)
    assert (await phone())["served_sha256"] == hashlib.sha256(foreign).hexdigest()
    (row,) = [row for row in await rows(site, "config.changed_on_disk") if row["entity_uuid"] == mac]
    assert row["payload"]["served_before"] == hashlib.sha256(CONFIG.encode()).hexdigest()
    assert site.served(mac).read_bytes() == foreign
    await site.admin.post("/phone-profiles/switch", {"profile_uuid": profile, "mac": mac})
    assert (await phone())["drifted_at"] is None


async def test_profile_with_incomplete_firmware_has_warnings(site: Site) -> None:
    mac, load = site.mac(), site.name()
    xml = CONFIG.replace("<vendorConfig>", f"<loadInformation>{load}</loadInformation><vendorConfig>")
    profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=xml)

    async def warnings() -> list[list[str]]:
        shown = (await site.admin.get(f"/phone-profiles/{profile}")).data
        done = (await site.admin.post("/phone-profiles/switch", {"profile_uuid": profile, "mac": mac})).data
        deployment = (await site.admin.get(f"/deployments/{done['deployment']}")).data
        return [[warning["code"] for warning in answer["warnings"]] for answer in (shown, done, deployment)]

    assert await warnings() == [["load_not_served"]] * 3
    await upload(site, f"{load}.loads", f"{load}-part.sbn".encode())
    assert await warnings() == [["load_incomplete"]] * 3
    await upload(site, f"{load}-part.sbn", b"x")
    assert await warnings() == [[]] * 3
