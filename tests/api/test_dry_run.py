"""A dry run reports what a switch would do and changes nothing."""

import hashlib
from typing import Any

from cisisk.model.codes.restart import RestartRefusal
from tests.api.client import CONFIG, MAC, SWITCH, UNKNOWN, Answer, Site, check_error
from tests.api.conftest import SiteWith

SECRET = "xQ7sentinel"
OTHER = CONFIG.replace("<name>101</name>", f"<name>305</name><authPassword>{SECRET}</authPassword>").replace(
    "<sipProfile>", "<loadInformation>SIP45.9-4-2SR3-1S</loadInformation><sipProfile>"
)


async def dry_run(site: Site, profile_uuid: str, mac: str = MAC) -> Answer:
    return await site.admin.post(f"{SWITCH}?dry_run=true", {"profile_uuid": profile_uuid, "mac": mac})


async def switch_state(site: Site) -> list[Any]:
    """Return all state that a switch changes."""
    files = {path: path.read_bytes() for path in site.settings.served_root.rglob("*") if path.is_file()}
    phone = await site.admin.get(f"/phones/{MAC}")
    versions = await site.admin.get(f"/phones/{MAC}/versions")
    return [
        files,
        phone.body.get("data"),
        versions.body.get("data"),
        (await site.admin.get("/phones")).data,
        await site.admin.whole_audit_log(),
    ]


async def test_dry_run_reports_changes_and_changes_nothing(site: Site) -> None:
    uuid = await site.admin.new_profile(site.admin_uuid)
    await site.admin.post(SWITCH, {"profile_uuid": uuid, "mac": MAC})
    other = await site.admin.new_profile(site.admin_uuid, name="Second", cnf_xml=OTHER)
    before = await switch_state(site)
    answer = await dry_run(site, other)
    assert answer.message == "Nothing was switched"
    assert [each["code"] for each in answer.data["warnings"]] == ["load_not_served"]
    summary = {name: value for name, value in answer.data.items() if name not in ("warnings", "preview")}
    assert summary == {
        "profile": "Second",
        "mac": MAC,
        "restart": "This was a dry run",
        "restart_outcome": None,
        "restart_detail": [],
        "deployment": None,
        "sha256": hashlib.sha256(OTHER.encode()).hexdigest(),
        "state": None,
        "ended_at": None,
    }
    preview = answer.data["preview"]
    assert preview["changes"] == [
        "load: none -> SIP45.9-4-2SR3-1S",
        "line 1: 101 -> 305",
        "line 1/authPassword: changed",
    ]
    assert (preview["more"], preview["restart"], preview["reset_for"]) == (0, "reset", ["load"])
    assert RestartRefusal.ADDRESS_UNKNOWN in [obstacle["code"] for obstacle in preview["obstacles"]]
    assert preview["in_the_way"] == [obstacle["message"] for obstacle in preview["obstacles"]]
    assert SECRET.encode() not in answer.content
    assert await switch_state(site) == before


async def test_dry_run_of_unknown_phone_does_not_add_it(site: Site) -> None:
    uuid = await site.admin.new_profile(site.admin_uuid)
    before = await switch_state(site)
    preview = (await dry_run(site, uuid)).data["preview"]
    assert preview["changes"] == ["there is no config before"]
    assert await switch_state(site) == before
    check_error(await site.admin.get(f"/phones/{MAC}"), 404)


async def test_dry_run_lists_methods_for_phone(site_with: SiteWith) -> None:
    orders = {"sip": ["cgi-keys"], "sccp": ["cgi-keys", "cgi-init-restart"]}
    async with site_with(restart=orders) as site:
        uuid = await site.admin.new_profile(site.admin_uuid)
        preview = (await dry_run(site, uuid)).data["preview"]
        assert (preview["methods"], preview["restart"]) == (["cgi-keys"], "restart")
        await site.admin.post("/phones", {"mac": MAC, "software": "SCCP", "phone_ip": "127.0.0.1"})
        preview = (await dry_run(site, uuid)).data["preview"]
        assert (preview["methods"], preview["restart"]) == (["cgi-keys", "cgi-init-restart"], "reset")
        assert preview["in_the_way"] == []


async def test_dry_run_is_refused_like_switch(site: Site) -> None:
    await site.admin.post("/phones", {"mac": MAC, "model": "CP-7942G"})
    misfit = await site.admin.new_profile(site.admin_uuid, compatible_models=["8841"])
    for profile, status in ((misfit, 409), (UNKNOWN, 404)):
        refused = await dry_run(site, profile)
        done = await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})
        check_error(refused, status)
        assert (refused.status, refused.message) == (done.status, done.message)


async def test_switch_without_dry_run_has_no_preview(site: Site) -> None:
    uuid = await site.admin.new_profile(site.admin_uuid)
    body = {"profile_uuid": uuid, "mac": MAC}
    assert (await site.admin.post(f"{SWITCH}?dry_run=perhaps", body)).fields.keys() == {"dry_run"}
    check_error(await site.admin.get(f"/phones/{MAC}"), 404)
    answer = await site.admin.post(f"{SWITCH}?dry_run=false", body)
    assert "preview" not in answer.data
    assert site.served().read_bytes() == CONFIG.encode()
