"""Emergency data of a phone in configs that a rollback serves again."""

from typing import Any

import pytest

from tests.api.client import CONFIG, Site

SWITCH = "/phone-profiles/switch"
HOME = CONFIG.replace("101", "{{emergency_location}}")


async def moved(site: Site, home: str = HOME) -> tuple[str, Any]:
    """Switch a phone on Floor 1 twice, move it to Floor 9; return its MAC and the last deployment."""
    mac = site.mac()
    await site.admin.post("/phones", {"mac": mac, "emergency_location": "Floor 1"})
    first = await site.admin.new_profile(site.admin_uuid, cnf_xml=home, placeholders=True)
    await site.admin.post(SWITCH, {"mac": mac, "profile_uuid": first})
    other = await site.admin.new_profile(site.admin_uuid)
    switched = await site.admin.post(SWITCH, {"mac": mac, "profile_uuid": other})
    await site.admin.put(f"/phones/{mac}", {"emergency_location": "Floor 9"})
    return mac, switched.data["deployment"]


async def test_rollback_uses_current_emergency_location(site: Site) -> None:
    mac, last = await moved(site)
    assert (await site.admin.post(f"/deployments/{last}/rollback")).status == 200
    assert b"Floor 9" in site.served(mac).read_bytes()


async def test_rollback_to_changed_profile_serves_old_content(site: Site) -> None:
    mac, last = await moved(site)
    (first,) = [
        each["profile_uuid"] for each in (await site.admin.get(f"/deployments?mac={mac}")).data if each["uuid"] != last
    ]
    changed = await site.admin.put(f"/phone-profiles/{first}", {"cnf_xml": HOME.replace("</device>", " </device>")})
    assert changed.status == 200
    await site.admin.post(f"/deployments/{last}/rollback")
    assert b"Floor 1" in site.served(mac).read_bytes()


@pytest.mark.parametrize("change", ["DELETE", "nothing"])
async def test_rollback_without_placeholder_serves_identical_bytes(site: Site, change: str) -> None:
    mac, last = await moved(site, HOME if change == "DELETE" else CONFIG)
    listed = (await site.admin.get(f"/deployments?mac={mac}")).data
    (first,) = [each for each in listed if each["uuid"] != last]
    if change == "DELETE":
        await site.admin.delete(f"/phone-profiles/{first['profile_uuid']}")
    rollback = await site.admin.post(f"/deployments/{last}/rollback")
    assert rollback.data["sha256"] == first["sha256"]
