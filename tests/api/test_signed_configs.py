"""Signed configs of other programs beside the configs of Cisisk: a phone that signs would take them instead."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from cisisk.appliance.limits import Limits
from tests.api.client import CONFIG, SWITCH, Answer, Site
from tests.api.conftest import limited
from tests.patience import PATIENCE

PREVIOUS = CONFIG.replace("101", "999").encode()
NAMES = [
    *("SEP{}.cnf.xml.sgn", "SEP{}.cnf.xml.enc.sgn", "sep{}.cnf.xml.SGN", "SEP{}.cnf.enc.sgn"),
    *("SIP{}.cnf.sgn", "ATA{}.cnf.xml.sgn", "ATA{}.cnf.xml.enc.sgn"),
]


def enveloped(content: bytes) -> bytes:
    """Return ``content`` behind a header as short as it can be: version 1.0 and its own length."""
    return bytes.fromhex("0100020100 020002000a") + content


def place(site: Site, mac: str, form: str, content: bytes) -> str:
    name = form.format(mac.replace(":", ""))
    (site.settings.served_root / name).write_bytes(content)
    return name


async def fetched(site: Site, name: str) -> int:
    """Return the status of a phone's request."""
    host, port = site.running.provisioning_http_address or ("", 0)
    async with site.admin.session.get(f"http://{host}:{port}/{name}") as response:
        return response.status


async def switch(site: Site, mac: str, xml: str = CONFIG) -> Answer:
    profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=xml)
    return await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            pass


async def warnings(site: Site, switched: Answer) -> set[str]:
    deployment = (await site.admin.get(f"/deployments/{switched.data['deployment']}")).data
    return {warning["code"] for warning in deployment["warnings"]}


@pytest.mark.parametrize("form", NAMES)
async def test_switch_sets_signed_config_aside(site: Site, form: str) -> None:
    mac = site.mac()
    name = place(site, mac, form, enveloped(PREVIOUS))
    switched = await switch(site, mac)
    assert await fetched(site, name) == 404
    versions = (await site.admin.get(f"/phones/{mac}/versions")).data
    assert hashlib.sha256(enveloped(PREVIOUS)).hexdigest() in {version["sha256"] for version in versions}
    assert "phone_takes_signed_files" in {warning["code"] for warning in switched.data["warnings"]}
    assert "phone_takes_signed_files" in await warnings(site, switched)
    # It still takes signed files only, as far as is known.
    assert "phone_takes_signed_files" in await warnings(site, await switch(site, mac))


async def test_every_change_of_a_config_sets_signed_ones_aside(site: Site) -> None:
    mac = site.mac()
    first = await switch(site, mac)
    for change in ("switch", "rollback", "upload"):
        names = [place(site, mac, form, enveloped(PREVIOUS)) for form in NAMES if "cnf.xml" in form]
        if change == "switch":
            await switch(site, mac, CONFIG.replace("101", "102"))
        elif change == "rollback":
            newest = (await site.admin.get(f"/deployments?mac={mac}&limit=1")).data[0]["uuid"]
            assert (await site.admin.post(f"/deployments/{newest}/rollback")).status == 200
        else:
            uploaded = await site.admin.request("PUT", f"/files/{site.served(mac).name}", content=CONFIG.encode())
            assert uploaded.status in (200, 201), uploaded.content
        assert [await fetched(site, name) for name in names] == [404] * len(names), change
    assert first.data["restart_outcome"] == "refused"


async def test_signed_config_of_the_same_content_stays(site: Site) -> None:
    mac = site.mac()
    signed = place(site, mac, "SEP{}.cnf.xml.sgn", enveloped(CONFIG.encode()))
    encrypted = place(site, mac, "SEP{}.cnf.xml.enc.sgn", enveloped(CONFIG.encode()))
    await switch(site, mac)
    assert (await fetched(site, signed), await fetched(site, encrypted)) == (200, 404)


async def test_signed_config_of_another_phone_stays(site: Site) -> None:
    mac, other = site.mac(), site.mac()
    name = place(site, other, "SEP{}.cnf.xml.sgn", enveloped(PREVIOUS))
    await switch(site, mac)
    await switch(site, mac)
    assert await fetched(site, name) == 200


async def test_dry_run_names_signed_config_and_keeps_it(site: Site) -> None:
    mac = site.mac()
    name = place(site, mac, "SEP{}.cnf.xml.sgn", enveloped(PREVIOUS))
    profile = await site.admin.new_profile(site.admin_uuid)
    await until(lambda: _is_served(site, name))
    previewed = await site.admin.post(f"{SWITCH}?dry_run=true", {"profile_uuid": profile, "mac": mac})
    assert "phone_takes_signed_files" in {warning["code"] for warning in previewed.data["warnings"]}
    assert await fetched(site, name) == 200


async def _is_served(site: Site, name: str) -> bool:
    return await fetched(site, name) == 200


@limited(Limits(directory_refresh_seconds=0.05))
async def test_signed_config_that_appears_after_a_switch_is_set_aside(site: Site) -> None:
    mac = site.mac()
    await switch(site, mac)
    name = place(site, mac, "SEP{}.cnf.xml.sgn", enveloped(PREVIOUS))
    async with asyncio.timeout(PATIENCE):
        while (site.settings.served_root / name).exists():
            await site.anonymous.get("/hello")
    assert await fetched(site, name) == 404
