"""Section 2 of the contract: health and hello."""

import pytest

from cisisk.api.limits import ApiLimits
from cisisk.appliance.limits import Limits
from cisisk.provisioning.tftp.server import TftpServer
from tests.api.client import Answer, Site, check_error, check_metadata
from tests.api.conftest import limited

FIELDS = {"status", "uptime", "database", "tftp", "provisioning_http", "ftp", "asterisk", "memory"}


def check_degraded(answer: Answer, part: str) -> None:
    """A 503 in the shape of a success."""
    assert answer.status == 503
    assert set(answer.body) == {"success", "message", "data", "metadata"}
    data = answer.body["data"]
    assert set(data) == FIELDS
    assert (data["status"], data[part]) == ("degraded", "failed")
    check_metadata(answer)


async def test_a_healthy_service_says_so(site: Site) -> None:
    answer = await site.anybody.get("/health")
    assert (answer.status, answer.message) == (200, "Service is healthy")
    assert set(answer.data) == FIELDS
    assert (answer.data["status"], answer.data["database"], answer.data["tftp"]) == ("ok", "ok", "ok")
    assert 0 <= answer.data["uptime"] < 60
    assert answer.data["memory"]["rss"] > 1 << 20
    check_metadata(answer)


async def test_a_dead_tftp_thread_degrades_the_service(site: Site) -> None:
    tftp = site.running.health._tftp
    assert isinstance(tftp, TftpServer)
    tftp.stop(0)
    check_degraded(await site.anybody.get("/health"), "tftp")
    assert (await site.admin.get("/users")).status == 200


@limited(Limits(api=ApiLimits(max_heartbeat_age=-1.0)))
async def test_a_tftp_thread_that_stands_still_degrades_the_service(site: Site) -> None:
    check_degraded(await site.anybody.get("/health"), "tftp")


@pytest.mark.parametrize("connection", ["_reader", "_writer"])
async def test_a_database_that_does_not_answer_degrades_the_service(
    site: Site, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(getattr(site.running.health._db, connection), "execute_fetchall", refuse)
    check_degraded(await site.anybody.get("/health"), "database")


async def test_hello_says_where_the_documentation_is(site: Site) -> None:
    answer = await site.anybody.get("/hello")
    assert answer.status == 200
    assert answer.data == {"greeting": "This is Cisisk", "documentation": "/api/docs", "environment": "test"}
    async with site.admin.session.get(site.running.api_url + answer.data["documentation"]) as page:
        assert page.status == 200
        assert page.content_type == "text/html"


async def test_a_failure_of_cisisk_itself_tells_nobody_more_than_its_id(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("what lies inside")

    monkeypatch.setattr(site.running.health._db, "read", fail)
    answer = await site.admin.get("/phones")
    # The token is looked up there as well.
    check_error(answer, 500)
    assert b"inside" not in answer.content
    assert answer.headers["X-Request-ID"] in answer.message
    assert answer.headers["X-Request-ID"] in caplog.text
    assert "what lies inside" in caplog.text
