"""Where a phone is, as an emergency call from it tells: also after a logout or a rollback serves it an old config."""

from typing import Any

import pytest

from tests.api.client import CONFIG, Site

SWITCH = "/phone-profiles/switch"
HOME = CONFIG.replace("101", "{{emergency_location}}")


async def moved(site: Site, home: str = HOME) -> tuple[str, Any]:
    """A phone that was served a config for Floor 1, then somebody's, and stands on Floor 9 now; and the last switch."""
    mac = site.mac()
    await site.admin.post("/phones", {"mac": mac, "emergency_location": "Floor 1"})
    first = await site.admin.new_profile(site.admin_uuid, cnf_xml=home, placeholders=True)
    await site.admin.post(SWITCH, {"mac": mac, "profile_uuid": first})
    other = await site.admin.new_profile(site.admin_uuid)
    switched = await site.admin.post(SWITCH, {"mac": mac, "profile_uuid": other})
    await site.admin.put(f"/phones/{mac}", {"emergency_location": "Floor 9"})
    return mac, switched.data["deployment"]


async def test_a_rollback_tells_where_the_phone_is_now(site: Site) -> None:
    mac, last = await moved(site)
    assert (await site.admin.post(f"/deployments/{last}/rollback")).status == 200
    assert b"Floor 9" in site.served(mac).read_bytes()


async def test_a_profile_that_was_changed_since_is_served_as_it_was(site: Site) -> None:
    mac, last = await moved(site)
    (first,) = [
        each["profile_uuid"] for each in (await site.admin.get(f"/deployments?mac={mac}")).data if each["uuid"] != last
    ]
    changed = await site.admin.put(f"/phone-profiles/{first}", {"cnf_xml": HOME.replace("</device>", " </device>")})
    assert changed.status == 200
    await site.admin.post(f"/deployments/{last}/rollback")
    assert b"Floor 1" in site.served(mac).read_bytes()


@pytest.mark.parametrize("change", ["DELETE", "nothing"])
async def test_what_tells_no_place_is_served_byte_for_byte(site: Site, change: str) -> None:
    mac, last = await moved(site, HOME if change == "DELETE" else CONFIG)
    listed = (await site.admin.get(f"/deployments?mac={mac}")).data
    (first,) = [each for each in listed if each["uuid"] != last]
    if change == "DELETE":
        await site.admin.delete(f"/phone-profiles/{first['profile_uuid']}")
    undoing = await site.admin.post(f"/deployments/{last}/rollback")
    assert undoing.data["sha256"] == first["sha256"]
