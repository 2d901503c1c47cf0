"""The access policy of a running appliance for phones, strangers, permissions and switches."""

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from cisisk.appliance.limits import Limits
from cisisk.model.mac import Mac
from cisisk.provisioning.access.policy import AccessPolicy
from cisisk.provisioning.access.sources import FREE_DEVICES, SourceLimits
from cisisk.simulator import tftp_client
from cisisk.simulator.tftp_download import FileAbsent
from cisisk.store.phones import PhoneAddress
from tests.e2e.running_site import Site, open_site, settings_for, until

DECOY = Mac("00112233DEC0")

LIMITS = Limits(access_refresh_seconds=0.02, sources=SourceLimits(settle_seconds=0.0))


known_addresses: dict[Mac, PhoneAddress] = {}
"""The addresses that the policy received last."""


@pytest.fixture(autouse=True)
def _record_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    original = AccessPolicy.know

    def know(policy: AccessPolicy, phones: Collection[PhoneAddress]) -> None:
        original(policy, phones)
        known_addresses.clear()
        known_addresses.update({phone.mac: phone for phone in phones})

    monkeypatch.setattr(AccessPolicy, "know", know)


@pytest.fixture(params=["pin", "observe", "off"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    settings = settings_for(tmp_path, provisioning={"access": request.param, "decoys": [str(DECOY)]})
    async with open_site(settings, LIMITS) as made:
        yield made


async def takes(site: Site, mac: Mac, host: str, name: str | None = None) -> bool:
    assert site.running.tftp_address
    try:
        await tftp_client.fetch(name or mac.config_name, server=site.running.tftp_address, local=(host, 0))
    except FileAbsent:
        return False
    return True


async def wait_until_known(mac: Mac, host: str) -> None:
    """Wait until the policy knows that the phone was seen there."""

    async def seen() -> str | None:
        return known_addresses[mac].seen_ip if mac in known_addresses else None

    await until(seen, lambda seen_ip: seen_ip == host)


async def test_pinned_phone_moves_only_with_permission(site: Site) -> None:
    mac, home, desk, stranger = site.new_mac(), "127.2.0.1", "127.3.0.1", "127.4.0.1"
    is_pinned = site.settings.provisioning.access == "pin"
    await site.switch(await site.profile("201"), mac)
    assert await takes(site, mac, home)
    await wait_until_known(mac, home)
    assert await takes(site, mac, stranger) is not is_pinned
    if not is_pinned:
        # Without pinning, the last address counts.
        await wait_until_known(mac, stranger)
        return
    allowed = await site.data("POST", f"/phones/{mac}/allow-fetch")
    assert (allowed["mac"], allowed["until"] > "2026") == (str(mac), True)
    assert await takes(site, mac, desk)
    await wait_until_known(mac, desk)
    assert await takes(site, mac, desk)
    assert not await takes(site, mac, home)
    assert not await takes(site, mac, stranger)
    actions = [entry["action"] for entry in await site.data("GET", "/audit-logs")]
    assert "phone.fetch_allowed" in actions


async def test_second_port_of_adapter_is_pinned_like_phone(site: Site) -> None:
    port, home, stranger = Mac.parse("00:1B:54:00:09:41").second_port, "127.6.0.1", "127.7.0.1"
    assert port.is_second_port
    await site.switch(await site.profile("201"), port)
    assert await takes(site, port, home, port.adapter_config_name)
    await wait_until_known(port, home)
    is_pinned = site.settings.provisioning.access == "pin"
    assert await takes(site, port, stranger, port.adapter_config_name) is not is_pinned


async def test_switch_allows_phone_at_new_address_in_subnet(site: Site) -> None:
    mac, home, other = site.new_mac(), "127.5.0.1", "127.5.0.9"
    first, second = await site.profile("201"), await site.profile("202")
    await site.switch(first, mac)
    assert await takes(site, mac, home)
    await wait_until_known(mac, home)
    await site.switch(second, mac)
    assert await takes(site, mac, other)
    await wait_until_known(mac, other)
    assert await takes(site, mac, other)


async def test_decoy_fetch_raises_alarm(site: Site) -> None:
    mac, home, thief = site.new_mac(), "127.6.0.1", "127.6.0.66"
    mode = site.settings.provisioning.access
    await site.switch(await site.profile("201"), mac)
    assert await takes(site, mac, home)
    await wait_until_known(mac, home)
    assert not await takes(site, DECOY, thief)
    assert await takes(site, mac, thief) is (mode != "pin")
    if mode == "off":
        assert await site.data("GET", "/access-alarms") == []
        return
    (alarm,) = await until(lambda: site.data("GET", "/access-alarms"), bool)
    assert (alarm["kind"], alarm["host"], alarm["is_observed"]) == ("decoy", thief, mode == "observe")
    rows = await until(lambda: site.data("GET", "/audit-logs?q=access.decoy"), bool)
    assert [row["entity_uuid"] for row in rows] == [thief]


async def test_fetch_by_searching_client_keeps_phone_address(site: Site) -> None:
    if site.settings.provisioning.access == "off":
        pytest.skip("nothing is noticed then")
    mac, home, thief = site.new_mac(), "127.7.0.1", "127.8.0.66"
    await site.switch(await site.profile("201"), mac)
    assert await takes(site, mac, home)
    await wait_until_known(mac, home)
    for _ in range(FREE_DEVICES + 1):
        assert not await takes(site, site.new_mac(), thief)
    await takes(site, mac, thief)
    await wait_until_known(mac, home)
    assert await takes(site, mac, home)


async def test_allow_fetch_of_unknown_phone_is_not_found(site: Site) -> None:
    status, _ = await site.call("POST", f"/phones/{site.new_mac()}/allow-fetch")
    assert status == 404
