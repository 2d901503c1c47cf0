"""Steps of switches as server-sent events."""

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from cisisk.api.handlers import events
from cisisk.api.limits import ApiLimits
from cisisk.appliance.limits import Limits
from cisisk.events.feed import FeedLimits
from cisisk.identity.tokens import Claims, KeyRing
from tests.api.client import MAC, SWITCH, UNKNOWN, Client, Site, check_error
from tests.api.client import site as opened
from tests.api.conftest import SiteWith, limited
from tests.patience import PATIENCE

FIRST = ["recorded", "written", "restart_refused"]
"""The first steps of a switch of a never seen phone."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a client receives it."""

    id: int
    name: str
    data: dict[str, Any]


class Stream:
    """Reads a stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.comments: list[str] = []

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def next(self) -> Event | None:
        """Return the next event, or None at the end of the stream; collect comments."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            while line := (await self._response.content.readline()).decode():
                name, colon, value = line.rstrip("\n").partition(": ")
                if name.startswith(":") or not name:
                    self.comments += [value] if line.startswith(":") else []
                elif colon:
                    fields[name] = value
                if line == "\n" and fields:
                    return Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        return None

    async def take(self, count: int) -> list[Event]:
        """Return the next ``count`` events."""
        taken = [await self.next() for _ in range(count)]
        assert None not in taken
        return [event for event in taken if event is not None]

    async def rest(self) -> list[Event]:
        """Return all events until the stream ends."""
        taken = []
        while (event := await self.next()) is not None:
            taken.append(event)
        return taken

    async def commented(self, count: int = 1) -> None:
        """Wait for ``count`` comments in total, and check that no event precedes them."""
        async with asyncio.timeout(PATIENCE):
            while len(self.comments) < count:
                line = (await self._response.content.readline()).decode()
                assert line[:1] in (":", "\n"), line
                self.comments += [line] if line.startswith(":") else []


@asynccontextmanager
async def streaming(client: Client, path: str = "/events", **headers: str) -> AsyncIterator[Stream]:
    """Open a stream. It has every later event."""
    sent = {"Authorization": f"Bearer {client.token}"} | {key.replace("_", "-"): text for key, text in headers.items()}
    async with client.session.get(f"{client.url}/api/v1{path}", headers=sent) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


async def switched(site: Site, mac: str = MAC) -> str:
    """Switch the phone to a new profile; return the uuid of the deployment."""
    profile = await site.admin.new_profile(site.admin_uuid)
    return str((await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})).data["deployment"])


async def fetched(site: Site, mac: str = MAC) -> None:
    """Fetch the config of a phone over HTTP, as the phone does."""
    assert site.running.provisioning_http_address is not None
    host, port = site.running.provisioning_http_address
    url = f"http://{host}:{port}/{site.served(mac).name}"
    async with site.admin.session.get(url) as response:
        assert response.status == 200
        await response.read()


async def test_stream_has_steps_of_switch(site: Site) -> None:
    async with streaming(site.admin) as stream:
        uuid = await switched(site)
        received = await stream.take(3)
    assert [event.name for event in received] == FIRST
    assert [event.id for event in received] == [1, 2, 3]
    deployment = (await site.admin.get(f"/deployments/{uuid}")).data
    assert [event.data for event in received] == [
        {**step, "deployment": uuid, "mac": MAC} for step in deployment["steps"]
    ]
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f-]{36}", stream.headers["X-Request-ID"])


async def test_stream_without_last_event_id_begins_now(site: Site) -> None:
    await switched(site)
    async with streaming(site.admin) as stream:
        await switched(site)
        [first] = await stream.take(1)
    assert first.id > 3


@pytest.mark.parametrize(
    ("headers", "query", "first"),
    [
        ({"Last_Event_ID": "0"}, "", 1),
        ({"Last_Event_ID": "2"}, "", 3),
        ({"Last_Event_ID": "2"}, "?last_event_id=0", 3),
        ({}, "?last_event_id=1", 2),
        ({"Last_Event_ID": "9223372036854775807"}, "", 4),
    ],
)
async def test_stream_continues_after_last_event_id(
    site: Site, headers: dict[str, str], query: str, first: int
) -> None:
    await switched(site)
    async with streaming(site.admin, f"/events{query}", **headers) as stream:
        await switched(site, site.mac())
        received = await stream.take(7 - first)
    assert [event.id for event in received] == list(range(first, 7))


async def test_stream_reopened_repeatedly_misses_no_event(site: Site) -> None:
    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < 36:
            async with streaming(site.admin, Last_Event_ID=str(seen[-1] if seen else 0)) as stream:
                seen.extend(event.id for event in await stream.take(min(5, 36 - len(seen))))

    async with asyncio.timeout(PATIENCE * 3):
        await asyncio.gather(follow(), *(switched(site, site.mac()) for _ in range(12)))
    assert seen == list(range(1, 37))


@pytest.mark.parametrize("number", ["", "x", "-1", "1.5", "²", "9223372036854775808", "1" * 40])
@pytest.mark.parametrize("path", ["/events", f"/deployments/{UNKNOWN}/events"])
async def test_stream_with_invalid_last_event_id_is_422(site: Site, path: str, number: str) -> None:
    answer = await site.admin.get(path, Last_Event_ID=number)
    check_error(answer, 422)
    assert set(answer.fields) == {"Last-Event-ID"}


async def test_stream_with_invalid_query_last_event_id_is_422(site: Site) -> None:
    for number in ("", "x", "-1", "9223372036854775808"):
        assert set((await site.admin.get(f"/events?last_event_id={number}")).fields) == {"last_event_id"}


async def test_stream_of_one_switch_ends_with_it(site: Site) -> None:
    uuid = await switched(site)
    await switched(site, site.mac())
    async with streaming(site.admin, f"/deployments/{uuid}/events") as stream:
        assert [event.name for event in await stream.take(3)] == FIRST
        await fetched(site)
        rest = await stream.rest()
    assert rest[-1].name == "fetched"
    assert rest[-1].data["ended"] is True
    assert {event.data["deployment"] for event in rest} == {uuid}
    # The stream of an ended switch has the same events and ends at once.
    async with streaming(site.admin, f"/deployments/{uuid}/events", Last_Event_ID="2") as stream:
        assert [event.id for event in await stream.rest()] == [3, *(event.id for event in rest)]
    answer = await site.admin.get(f"/deployments/{uuid}/events", Last_Event_ID=str(rest[-1].id))
    assert (answer.status, answer.content) == (204, b"")


SHORT_HEARTBEAT = limited(Limits(api=ApiLimits(event_heartbeat_seconds=0.02)))
"""Comments and token checks at short intervals."""


async def test_stream_of_unknown_switch_is_404(site: Site) -> None:
    check_error(await site.admin.get(f"/deployments/{UNKNOWN}/events"), 404)


async def test_stream_requires_superadmin(site: Site) -> None:
    for path in ("/events", f"/deployments/{UNKNOWN}/events"):
        check_error(await site.anonymous.get(path), 401)
        check_error(await (await site.clerk()).get(path), 403)
        assert (await site.admin.request("HEAD", path)).status == 405


@SHORT_HEARTBEAT
async def test_stream_sends_heartbeats(site: Site) -> None:
    async with streaming(site.admin) as stream:
        await stream.commented(5)
        await switched(site)
        assert [event.name for event in await stream.take(3)] == FIRST


@SHORT_HEARTBEAT
@pytest.mark.wording
async def test_stream_ends_with_access_token(site: Site) -> None:
    keys = KeyRing.load(site.settings.data.dir / "keys", timedelta(seconds=-9))
    claims = keys.verify(str(site.admin.token))
    short = site.admin.with_token(keys.issue(Claims(claims.user_uuid, claims.session_uuid)))
    async with streaming(short) as stream:
        assert await stream.rest() == []
    assert stream.comments[-1] == "The access token has expired"


@SHORT_HEARTBEAT
@pytest.mark.wording
async def test_stream_ends_with_login_or_permission(site: Site) -> None:
    uuid, name = await site.new_clerk(level=0)
    deputy = await site.anonymous.login(name)
    async with streaming(deputy) as stream:
        await site.admin.delete(f"/user-perms/{uuid}")
        assert await stream.rest() == []
        assert stream.comments[-1] == "This operation needs permission level 0"
    other = await site.anonymous.login("admin")
    async with streaming(other) as stream:
        await other.post("/auth/logout", {})
        assert await stream.rest() == []
        assert stream.comments[-1] == "The access token is no longer valid"


@limited(Limits(api=ApiLimits(event_heartbeat_seconds=0.02), feed=FeedLimits(max_readers=2)))
async def test_stream_beyond_limit_is_429(site: Site) -> None:
    async with streaming(site.admin), streaming(site.admin):
        answer = await site.admin.get("/events")
        check_error(answer, 429)
        assert answer.headers["Retry-After"] == "30"
        assert "2 streams of events are open" in answer.message
    # The server notices closed streams at the next heartbeat.
    await _wait_for_free_stream(site)


@limited(Limits(api=ApiLimits(event_write_seconds=0.2), feed=FeedLimits(max_readers=1)))
async def test_stream_to_stalled_client_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "written", lambda _step: {"message": "x" * 2_000_000})
    port = int(site.running.api_url.rpartition(":")[2])
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.admin.token}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        await asyncio.to_thread(client.sendall, request.encode())
        assert (await asyncio.to_thread(client.recv, 1000)).startswith(b"HTTP/1.1 200 OK")
        check_error(await site.admin.get("/events"), 429)
        await switched(site)
        await _wait_for_free_stream(site)


async def _wait_for_free_stream(site: Site) -> None:
    """Wait until the server accepts another stream."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(AssertionError):
                async with streaming(site.admin):
                    return
            await asyncio.sleep(0.02)


@limited(Limits(feed=FeedLimits(max_waiting=4)))
async def test_stream_to_slow_client_has_every_event(site: Site) -> None:
    async with streaming(site.admin, Last_Event_ID="0") as stream:
        for _ in range(10):
            await switched(site, site.mac())
        assert [event.id for event in await stream.take(30)] == list(range(1, 31))


async def test_streams_end_when_appliance_stops(site_with: SiteWith) -> None:
    async with aiohttp.ClientSession() as session:
        async with site_with() as site:
            client = Client(session, site.admin.url, site.admin.token)
            uuid = await switched(site)
            reading = [
                asyncio.create_task(_read(client, "/events")),
                asyncio.create_task(_read(client, f"/deployments/{uuid}/events")),
            ]
            waiting = asyncio.create_task(
                client.post(f"{SWITCH}?wait=60", {"profile_uuid": await _profile(site), "mac": site.mac()})
            )
            async with asyncio.timeout(PATIENCE):
                while len((await site.admin.get("/deployments?state=waiting")).data) < 2:  # noqa: ASYNC110 -- polls the API
                    await asyncio.sleep(0.01)
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < 3
        await asyncio.gather(*reading)
        assert (await waiting).data["ended_at"] is None


async def _profile(site: Site) -> str:
    return await site.admin.new_profile(site.admin_uuid)


async def _read(client: Client, path: str) -> list[Event]:
    async with streaming(client, path) as stream:
        return await stream.rest()


async def test_stream_continues_after_restart_of_appliance(site_with: SiteWith) -> None:
    async with site_with() as site:
        await switched(site)
        settings = site.settings
    async with opened(settings) as site, streaming(site.admin, Last_Event_ID="1") as stream:
        assert [event.id for event in await stream.take(2)] == [2, 3]
        await switched(site, site.mac())
        assert [event.id for event in await stream.take(3)] == [4, 5, 6]


@pytest.mark.needs("curl")
async def test_stream_is_readable_with_curl(site: Site) -> None:
    uuid = await switched(site)
    command = ["curl", "-sS", "-N", "-D", "-", "-H", f"Authorization: Bearer {site.admin.token}"]
    curl = await asyncio.create_subprocess_exec(
        *command, f"{site.running.api_url}/api/v1/deployments/{uuid}/events", stdout=asyncio.subprocess.PIPE
    )
    assert curl.stdout is not None
    text = ""
    async with asyncio.timeout(PATIENCE):
        while "event: restart_refused" not in text:
            text += (await curl.stdout.readline()).decode()
        await fetched(site)
        text += (await curl.stdout.read()).decode()
        assert await curl.wait() == 0
    assert "Content-Type: text/event-stream" in text
    assert re.findall(r"^event: (\w+)$", text, re.MULTILINE)[:3] == FIRST
    assert re.findall(r"^event: (\w+)$", text, re.MULTILINE)[-1] == "fetched"
