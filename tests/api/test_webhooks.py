"""Webhooks over the API, and their deliveries to a receiver."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from cisisk.appliance.limits import Limits
from cisisk.events.webhooks import WebhookLimits
from cisisk.model.codes.webhook import DeliveryDetail
from cisisk.model.messages import render
from cisisk.model.webhook import key_of
from tests.api.client import MAC, SWITCH, TIME, UNKNOWN, Site, check_error
from tests.api.client import site as opened
from tests.api.conftest import SiteWith, limited
from tests.patience import PATIENCE
from tests.receiver import Receiver

OWN_SECRET = "whsec_" + base64.b64encode(b"s3ntinel-secret-of-the-receiver!").decode()
FIELDS = {"uuid", "url", "description", "steps", "is_active", "created_at", "updated_at"}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


async def made(site: Site, url: str, **more: Any) -> dict[str, Any]:
    return dict((await site.admin.post("/webhooks", {"url": url, **more})).data)


async def switched(site: Site, mac: str = MAC) -> str:
    """Switch the phone to a new profile; return the uuid of the deployment."""
    profile = await site.admin.new_profile(site.admin_uuid)
    return str((await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})).data["deployment"])


async def until(site: Site, uuid: str, is_so: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Wait until the deliveries of a webhook satisfy ``is_so``; return them oldest first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = (await site.admin.get(f"/webhooks/{uuid}/deliveries")).data[::-1]
            if is_so(found):
                return list(found)
            await asyncio.sleep(0.02)


async def test_webhook_life_cycle_answers_as_documented(site: Site) -> None:
    created = await site.admin.post("/webhooks", {"url": "https://a.example/x", "description": "desk"})
    assert (created.status, created.message) == (201, "Webhook created")
    uuid = created.data["uuid"]
    assert set(created.data) == FIELDS | {"secret"}
    shown = await site.admin.get(f"/webhooks/{uuid}")
    assert set(shown.data) == FIELDS
    expected = {"url": "https://a.example/x", "description": "desk", "steps": [], "is_active": True}
    assert {name: shown.data[name] for name in expected} == expected
    assert TIME.fullmatch(shown.data["created_at"])
    changed = await site.admin.put(f"/webhooks/{uuid}", {"steps": ["registered", "fetched"], "description": None})
    assert (changed.message, changed.data["secret"]) == ("Webhook updated", None)
    assert (changed.data["steps"], changed.data["description"]) == (["fetched", "registered"], None)
    listed = await site.admin.get("/webhooks")
    assert (listed.message, [row["uuid"] for row in listed.data]) == ("1 webhook(s) found", [uuid])
    assert all(set(row) == FIELDS for row in listed.data)
    assert (await site.admin.delete(f"/webhooks/{uuid}")).message == "Webhook deleted"
    check_error(await site.admin.get(f"/webhooks/{uuid}"), 404)


async def test_webhook_lists_are_searched_sorted_and_paged(site: Site) -> None:
    for name in ("b", "a", "c"):
        await made(site, f"https://{name}.example/")
    for query, urls in {"sort=url": "abc", "sort=-url&limit=1": "c", "q=%2F%2Fa.": "a", "offset=2": "c"}.items():
        assert [row["url"][8] for row in (await site.admin.get(f"/webhooks?{query}")).data] == list(urls)
    assert (await site.admin.get("/webhooks?sort=secret")).fields.keys() == {"sort"}


async def test_webhook_secret_is_shown_once(site: Site) -> None:
    webhook = await made(site, "https://a.example/")
    assert len(key_of(webhook["secret"])) == 32
    path = f"/webhooks/{webhook['uuid']}"
    another = (await site.admin.put(path, {"secret": None})).data["secret"]
    assert len(key_of(another)) == 32
    assert another != webhook["secret"]
    own = await made(site, "https://b.example/", secret=OWN_SECRET)
    assert own["secret"] is None
    for answer in (await site.admin.get("/webhooks"), await site.admin.get(path)):
        for secret in (webhook["secret"], another, OWN_SECRET):
            assert secret.encode() not in answer.content


@pytest.mark.parametrize(
    "url",
    [
        *("", "a.example", "ftp://a.example/", "http://", "http:///x", "https://user:s3ntinel@a.example/", "/x"),
        *(
            "https://user@a.example/",
            "http://a.example:99999/",
            "http://a.example/#x",
            "http://a b.example/",
            "http://[",
        ),
        *("http://a.example/\n", "http://a.example:0/", "javascript:alert(1)", "http://a.example/" + "x" * 2000),
        *("file:///etc/passwd", "http://@a.example/", "http://a.example:x/", "//a.example/"),
    ],
)
async def test_webhook_with_unusable_url_is_refused(site: Site, url: str) -> None:
    answer = await site.admin.post("/webhooks", {"url": url})
    assert set(answer.fields) == {"url"}
    assert b"s3ntinel" not in answer.content


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "http://a.example/", "secret": "short"}, "secret"),
        ({"url": "http://a.example/", "secret": "x" * 200}, "secret"),
        ({"url": "http://a.example/", "steps": ["nonsense"]}, "steps.0"),
        ({"url": "http://a.example/", "steps": "fetched"}, "steps"),
        ({"url": "http://a.example/", "uuid": UNKNOWN}, "uuid"),
        ({"url": "http://a.example/", "is_active": "perhaps"}, "is_active"),
    ],
)
async def test_webhook_with_invalid_field_names_it(site: Site, body: dict[str, Any], field: str) -> None:
    assert set((await site.admin.post("/webhooks", body)).fields) == {field}


@pytest.mark.wording
async def test_webhook_delivers_end_of_switch(site: Site, receiver: Receiver) -> None:
    webhook = await made(site, receiver.url)
    first = await switched(site)
    await switched(site)
    [request] = await receiver.until(1)
    assert request.is_signed_with(webhook["secret"])
    assert (request.body["type"], request.body["data"]["deployment"]) == ("deployment.superseded", first)
    steps = (await site.admin.get(f"/deployments/{first}")).data["steps"]
    assert request.body["data"] == {**steps[-1], "deployment": first, "mac": MAC}
    [delivery] = await until(site, webhook["uuid"], lambda found: found[0]["state"] != "pending")
    about = {"uuid": request.id, "deployment": first, "step": "superseded"}
    detail = {
        "code": "webhook_answered",
        "parameters": {"status": 204},
        "message": render(DeliveryDetail.ANSWERED.notice(status=204)),
    }
    expected = {**about, "state": "delivered", "status": 204, "detail": detail, "tries": 1, "due_at": None}
    assert {name: delivery[name] for name in expected} == expected


async def test_webhook_for_all_steps_delivers_each(site: Site, receiver: Receiver) -> None:
    await made(site, receiver.url, steps=["recorded", "written", "restart_refused"])
    await switched(site)
    deliveries = await receiver.until(3)
    assert [each.body["data"]["step"] for each in deliveries] == ["recorded", "written", "restart_refused"]


async def test_webhook_delivery_continues_after_restart(site_with: SiteWith, receiver: Receiver) -> None:
    limits = Limits(webhooks=WebhookLimits(retry_pauses=(0.05,) * 6))
    receiver.script = [503, 0]
    async with site_with(limits) as site:
        webhook = await made(site, receiver.url, steps=["recorded"])
        await switched(site)
        await receiver.until(2)
        settings = site.settings
    async with opened(settings, limits) as site:
        [delivery] = await until(site, webhook["uuid"], lambda found: found[0]["state"] == "delivered")
    assert {each.id for each in receiver.received} == {delivery["uuid"]}
    assert (len(receiver.received), delivery["tries"]) == (3, 2)


async def test_webhook_test_delivers_test_event(site: Site, receiver: Receiver) -> None:
    webhook = await made(site, receiver.url, secret=OWN_SECRET)
    answer = await site.admin.post(f"/webhooks/{webhook['uuid']}/test")
    assert (answer.status, answer.data["state"], answer.data["deployment"]) == (201, "pending", None)
    [request] = await receiver.until(1)
    assert request.is_signed_with(OWN_SECRET)
    assert (request.body["type"], request.body["data"], request.id) == ("webhook.test", {}, answer.data["uuid"])
    await site.admin.put(f"/webhooks/{webhook['uuid']}", {"is_active": False})
    check_error(await site.admin.post(f"/webhooks/{webhook['uuid']}/test"), 409)
    check_error(await site.admin.post(f"/webhooks/{UNKNOWN}/test"), 404)
    check_error(await site.admin.get(f"/webhooks/{UNKNOWN}/deliveries"), 404)


async def test_webhook_changes_have_audit_rows_without_secrets(
    site: Site, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    receiver.script = [410]
    webhook = await made(site, receiver.url, secret=OWN_SECRET)
    path = f"/webhooks/{webhook['uuid']}"
    await site.admin.put(path, {"secret": None, "steps": ["recorded"]})
    await switched(site)
    await until(site, webhook["uuid"], lambda found: [each["state"] for each in found] == ["given_up"])
    async with asyncio.timeout(PATIENCE):
        while (await site.admin.get(path)).data["is_active"]:  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.02)
    await site.admin.put(path, {"is_active": True})
    await site.admin.post(f"{path}/test")
    await site.admin.delete(path)
    rows = [row for row in await site.admin.whole_audit_log() if row["entity_type"] == "webhook"]
    assert [row["action"].partition(".")[2] for row in rows] == [
        *("created", "updated", "given_up", "switched_off", "updated", "tested", "deleted"),
    ]
    assert {row["entity_uuid"] for row in rows} == {webhook["uuid"]}
    assert rows[1]["payload"] == {"changed": ["secret", "steps"], "host": "127.0.0.1"}
    for text in (str(rows), caplog.text):
        assert "s3ntinel" not in text
        assert OWN_SECRET not in text
        assert "whsec_" not in text


@limited(Limits(webhooks=WebhookLimits(max_webhooks=1)))
async def test_webhook_beyond_limit_is_refused(site: Site) -> None:
    await made(site, "http://a.example/")
    check_error(await site.admin.post("/webhooks", {"url": "http://b.example/"}), 409)
