"""Section 1 of the contract: switches."""

import asyncio
import errno
import hashlib
import os
from typing import Any

import pytest

from cisisk.model.codes.restart import RestartNotice, RestartRefusal, Sequel
from cisisk.model.messages import render
from cisisk.provisioning import library
from tests.api.client import CONFIG, SWITCH, UNKNOWN, Answer, Site, check_error, check_metadata
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def switch(site: Site, profile_uuid: str, mac: str) -> Answer:
    return await site.admin.post(SWITCH, {"profile_uuid": profile_uuid, "mac": mac})


async def test_switch_answers_as_in_contract(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    answer = await switch(site, profile, mac)
    assert answer.status == 200
    assert answer.body["success"] is True
    assert answer.message == "Profile switched"
    assert {name: answer.data[name] for name in ("profile", "mac")} == {"profile": "Reception Desk", "mac": mac}
    check_metadata(answer)


def refusals(switched: dict[str, Any]) -> set[str]:
    """Return the codes of refused restart methods."""
    return {refusal["code"] for refusal in switched["restart_detail"]}


async def test_switch_without_restart_is_no_error(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    switched = (await switch(site, profile, mac)).data
    assert switched["restart_outcome"] == "refused"
    assert RestartRefusal.ADDRESS_UNKNOWN in refusals(switched)
    assert render(Sequel.AT_NEXT_BOOT.notice()) in switched["restart"]
    await site.admin.put(f"/phones/{mac}", {"phone_ip": "127.0.0.1"})
    assert RestartRefusal.HTTP_CONNECTION_REFUSED in refusals((await switch(site, profile, mac)).data)
    assert (await site.admin.get(f"/phone-config/{mac}")).content == CONFIG.encode()


async def test_switch_of_unknown_phone_adds_it(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    check_error(await site.admin.get(f"/phones/{mac}"), 404)
    await switch(site, profile, mac)
    assert (await site.admin.get(f"/phones/{mac}")).data["current_profile_uuid"] == profile
    assert (await site.admin.get(f"/cisco-phones/{mac}")).data["current_profile_uuid"] == profile


async def test_switch_again_serves_newest_profile(site: Site) -> None:
    mac = site.mac()
    for number in ("201", "202", "203"):
        xml = CONFIG.replace("101", number)
        profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=xml)
        assert (await switch(site, profile, mac)).status == 200
        assert (await site.admin.get(f"/phone-config/{mac}")).content == xml.encode()
        assert site.served(mac).read_bytes() == xml.encode()
        assert (await site.admin.get(f"/phones/{mac}")).data["current_profile_uuid"] == profile


async def test_switch_replaces_config_that_cannot_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may read every file: the system's refusal is simulated."""
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    site.served(mac).write_bytes(b"<device>of another user</device>")
    number, opened = site.served(mac).stat().st_ino, library.open_below

    def open_below(root: int, path: str) -> tuple[int, os.stat_result] | None:
        if path == site.served(mac).name and site.served(mac).stat().st_ino == number:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(root, path)

    monkeypatch.setattr(library, "open_below", open_below)
    preview = await site.admin.post(f"{SWITCH}?dry_run=true", {"profile_uuid": profile, "mac": mac})
    assert preview.status == 200
    assert site.served(mac).stat().st_ino == number
    switched = (await switch(site, profile, mac)).data
    assert site.served(mac).read_bytes() == CONFIG.encode()
    assert (await site.admin.get(f"/deployments/{switched['deployment']}")).data["written_at"] is not None
    kept = [path.read_bytes() for path in (site.settings.served_root / library.SET_ASIDE).iterdir()]
    assert b"<device>of another user</device>" in kept


async def test_concurrent_switches_leave_one_config_and_its_profile(site: Site) -> None:
    mac = site.mac()
    configs = {}
    for number in range(6):
        xml = CONFIG.replace("101", f"30{number}")
        configs[await site.admin.new_profile(site.admin_uuid, cnf_xml=xml)] = xml
    answers = await asyncio.gather(*(switch(site, profile, mac) for profile in configs))
    assert [answer.status for answer in answers] == [200] * 6
    current = (await site.admin.get(f"/phones/{mac}")).data["current_profile_uuid"]
    assert (await site.admin.get(f"/phone-config/{mac}")).content == configs[current].encode()


@pytest.mark.parametrize(
    ("models", "model", "fits"),
    [
        ([], "CP-7942G", True),
        (["7942"], "CP-7942G", True),
        (["CP-7942G"], "7942", True),
        (["cp-7942g"], "CP-7942", True),
        (["7941", "7942G"], "cp-7942g", True),
        (["7942"], None, True),
        (["7942"], "CP-7941G", False),
        (["7942"], "7942X", False),
        (["7941G-GE"], "7941G", False),
    ],
)
async def test_switch_to_profile_of_other_model_is_409(
    site: Site, models: list[str], model: str | None, fits: bool
) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid, compatible_models=models)
    await site.admin.post("/phones", {"mac": mac, "model": model})
    await check_fit(site, profile, mac, fits=fits)


@pytest.mark.parametrize("software_type", ["SCCP", "SIP", "SIPE", ""])
@pytest.mark.parametrize("software", ["SCCP", "SIP", "SIPE"])
async def test_switch_to_profile_of_other_software_is_409(site: Site, software_type: str, software: str) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid, software_type=software_type)
    await site.admin.post("/phones", {"mac": mac, "software": software})
    await check_fit(site, profile, mac, fits=software_type in ("", software))


async def check_fit(site: Site, profile: str, mac: str, *, fits: bool) -> None:
    answer = await switch(site, profile, mac)
    if fits:
        assert answer.status == 200, answer.message
        return
    check_error(answer, 409)
    assert (await site.admin.get(f"/phones/{mac}")).data["current_profile_uuid"] is None
    assert not site.served(mac).exists()


async def test_switch_of_phone_with_unknown_facts_is_accepted(site: Site) -> None:
    profile = await site.admin.new_profile(site.admin_uuid, compatible_models=["7942"], software_type="SCCP")
    mac = site.mac()
    assert (await switch(site, profile, mac)).status == 200
    assert (await site.admin.get(f"/phones/{mac}")).data["software"] is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"profile_uuid", "mac"}),
        ({"profile_uuid": UNKNOWN}, {"mac"}),
        ({"mac": "AA:BB:CC:DD:EE:01"}, {"profile_uuid"}),
        ({"profile_uuid": UNKNOWN, "mac": "AA:BB"}, {"mac"}),
        ({"profile_uuid": UNKNOWN, "mac": None}, {"mac"}),
        ({"profile_uuid": "Reception", "mac": "AA:BB:CC:DD:EE:01"}, {"profile_uuid"}),
        ({"profile_uuid": 7, "mac": 7}, {"profile_uuid", "mac"}),
    ],
)
async def test_switch_with_invalid_body_is_422(site: Site, body: dict[str, Any], fields: set[str]) -> None:
    answer = await site.admin.post(SWITCH, body)
    check_error(answer, 422)
    assert set(answer.fields) == fields


async def test_switch_to_unknown_profile_is_404_and_adds_no_phone(site: Site) -> None:
    mac = site.mac()
    check_error(await switch(site, UNKNOWN, mac), 404)
    check_error(await site.admin.get(f"/phones/{mac}"), 404)


async def test_switch_fills_in_placeholders(site: Site) -> None:
    xml = "<device><name>{{device_name}}</name><mac>{{mac}}</mac></device>"
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid, cnf_xml=xml, placeholders=True)
    await switch(site, profile, mac)
    name = f"SEP{mac.replace(':', '')}"
    expected = f"<device><name>{name}</name><mac>{mac}</mac></device>"
    assert (await site.admin.get(f"/phone-config/{mac}")).content == expected.encode()


async def test_profile_deletion_keeps_served_config(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    await switch(site, profile, mac)
    await site.admin.delete(f"/phone-profiles/{profile}")
    assert (await site.admin.get(f"/phone-config/{mac}")).content == CONFIG.encode()
    assert (await site.admin.get(f"/phones/{mac}")).data["current_profile_uuid"] is None


async def test_deployment_shows_state_of_switch(site: Site) -> None:
    mac, profile = site.mac(), await site.admin.new_profile(site.admin_uuid)
    done = (await switch(site, profile, mac)).data
    answer = await site.admin.get(f"/deployments/{done['deployment']}")
    assert answer.message == "Deployment found"
    found = answer.data
    assert (found["mac"], found["profile_uuid"], found["requested_by"]) == (mac, profile, site.admin_uuid)
    assert found["sha256"] == done["sha256"] == hashlib.sha256(CONFIG.encode()).hexdigest()
    assert found["restart"] == done["restart"]
    assert found["state"] == "waiting"


async def start_waiting_switch(site: Site, mac: str, policy: dict[str, Any]) -> asyncio.Task[Answer]:
    """Start a switch request that waits for its end; return it when the deployment waits for the phone."""
    profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=CONFIG.replace("101", "202"))
    before = len((await site.admin.get(f"/deployments?mac={mac}")).data)
    body = {"profile_uuid": profile, "mac": mac, "policy": policy}
    waiting = asyncio.create_task(site.admin.post(f"{SWITCH}?wait=30", body))
    async with asyncio.timeout(PATIENCE):
        while len((await site.admin.get(f"/deployments?mac={mac}")).data) == before:  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.01)
    return waiting


async def test_rolled_back_switch_answer_does_not_promise_next_boot(site: Site) -> None:
    mac = site.mac()
    await switch(site, await site.admin.new_profile(site.admin_uuid), mac)
    policy = {"fetch_seconds": 1, "retry": False, "on_timeout": "rollback"}
    ended = (await (await start_waiting_switch(site, mac, policy))).data
    assert ended["state"] == "rolled_back"
    assert RestartRefusal.ADDRESS_UNKNOWN in refusals(ended)
    assert render(Sequel.ROLLED_BACK.notice()) in ended["restart"]
    assert render(Sequel.AT_NEXT_BOOT.notice()) not in ended["restart"]


async def test_superseded_switch_answer_does_not_promise_next_boot(site: Site) -> None:
    mac = site.mac()
    first = await start_waiting_switch(site, mac, {})
    await switch(site, await site.admin.new_profile(site.admin_uuid), mac)
    ended = (await first).data
    assert ended["state"] == "superseded"
    assert render(Sequel.AT_NEXT_BOOT.notice()) not in ended["restart"]


async def test_cancelled_switch_answer_says_so(site: Site) -> None:
    mac = site.mac()
    waiting = await start_waiting_switch(site, mac, {"when": "2099-01-01T00:00:00Z"})
    (deferred,) = (await site.admin.get(f"/deployments?mac={mac}")).data
    assert (await site.admin.post(f"/deployments/{deferred['uuid']}/cancel")).status == 200
    ended = (await waiting).data
    assert (ended["state"], ended["restart"]) == (
        "cancelled",
        render(RestartNotice.NOT_TRIED_BECAUSE.notice(sequel=Sequel.CANCELLED.notice())),
    )
