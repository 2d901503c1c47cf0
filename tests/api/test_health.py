"""Section 2 of the contract: health and hello."""

import asyncio

import pytest

from cisisk.api.limits import ApiLimits
from cisisk.appliance.limits import Limits
from cisisk.provisioning.tftp.server import TftpServer
from tests.api.client import Answer, Site, check_error, check_metadata
from tests.api.conftest import limited
from tests.patience import PATIENCE

FIELDS = {
    *("status", "uptime", "database", "tftp", "provisioning_http", "ftp", "asterisk", "memory"),
    *("served_directory", "served_directory_problem", "asterisk_problems"),
}


def check_degraded(answer: Answer, part: str) -> None:
    """Check for a 503 with the envelope of a success."""
    assert answer.status == 503
    assert set(answer.body) == {"success", "message", "data", "metadata"}
    data = answer.body["data"]
    assert set(data) == FIELDS
    assert (data["status"], data[part]) == ("degraded", "failed")
    check_metadata(answer)


async def health_with(site: Site, status: int) -> Answer:
    """Return the health once it has this status."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await site.anonymous.get("/health")).status != status:
            pass
    return answer


async def test_health_of_running_service_is_ok(site: Site) -> None:
    answer = await site.anonymous.get("/health")
    assert (answer.status, answer.message) == (200, "Service is healthy")
    assert set(answer.data) == FIELDS
    assert (answer.data["status"], answer.data["database"], answer.data["tftp"]) == ("ok", "ok", "ok")
    assert 0 <= answer.data["uptime"] < 60
    assert answer.data["memory"]["rss"] > 1 << 20
    check_metadata(answer)


async def test_health_with_dead_tftp_thread_is_503(site: Site) -> None:
    tftp = site.running.health._tftp
    assert isinstance(tftp, TftpServer)
    tftp.stop(0)
    check_degraded(await site.anonymous.get("/health"), "tftp")
    assert (await site.admin.get("/users")).status == 200


@limited(Limits(api=ApiLimits(max_heartbeat_age=-1.0)))
async def test_health_with_blocked_tftp_thread_is_503(site: Site) -> None:
    check_degraded(await site.anonymous.get("/health"), "tftp")


@pytest.mark.parametrize("connection", ["_reader", "_writer"])
async def test_health_with_failing_database_is_503(
    site: Site, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(getattr(site.running.health._db, connection), "execute_fetchall", refuse)
    check_degraded(await site.anonymous.get("/health"), "database")


@limited(Limits(directory_refresh_seconds=0.05))
async def test_health_with_moved_served_directory_is_503_until_it_is_back(site: Site) -> None:
    root = site.settings.served_root
    moved = root.rename(root.parent / "moved")
    answer = await health_with(site, 503)
    check_degraded(answer, "served_directory")
    assert answer.body["data"]["served_directory_problem"]["code"] == "served_directory_gone"
    moved.rename(root)
    assert (await health_with(site, 200)).data["served_directory_problem"] is None


async def test_hello_links_documentation(site: Site) -> None:
    answer = await site.anonymous.get("/hello")
    assert answer.status == 200
    assert answer.data == {"greeting": "This is Cisisk", "documentation": "/api/docs", "environment": "test"}
    async with site.admin.session.get(site.running.api_url + answer.data["documentation"]) as page:
        assert page.status == 200
        assert page.content_type == "text/html"


async def test_internal_error_answer_has_only_request_id(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("what lies inside")

    monkeypatch.setattr(site.running.health._db, "read", fail)
    answer = await site.admin.get("/phones")
    # Authentication reads the same table.
    check_error(answer, 500)
    assert b"inside" not in answer.content
    assert answer.headers["X-Request-ID"] in answer.message
    assert answer.headers["X-Request-ID"] in caplog.text
    assert "what lies inside" in caplog.text
