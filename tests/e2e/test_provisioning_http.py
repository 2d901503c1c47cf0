"""Provisioning over HTTP, for phones that try HTTP before TFTP."""

from pathlib import Path

from cisisk.simulator.boot import Via
from tests.e2e.running_site import Site, open_site, settings_for
from tests.patience import PATIENCE


async def test_switch_of_newer_phone_records_fetch_over_http(site: Site) -> None:
    assert site.running.provisioning_http_address
    profile = await site.profile("201")
    async with site.phone("8851", http_port=site.running.provisioning_http_address[1]) as phone:
        await phone.wait_for_boot(1, PATIENCE)
        switched = await site.switch(profile, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        done = await site.reaches(switched["deployment"], "fetched")
        config = next(attempt for attempt in phone.boots[-1].attempts if attempt.name == phone.mac.config_name)
    assert (config.via, config.size) == (Via.HTTP, len(site.config("201")))
    assert (done["fetched_from"], done["sha256"]) == (phone.address, switched["sha256"])


async def test_provisioning_http_disabled_in_settings_does_not_listen(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path, provisioning_http={"enabled": False})) as site:
        assert site.running.provisioning_http_address is None
        health = await site.data("GET", "/health")
        assert (health["status"], health["provisioning_http"]) == ("ok", "off")


async def test_health_with_closed_provisioning_http_is_failed(site: Site) -> None:
    assert (await site.data("GET", "/health"))["provisioning_http"] == "ok"
    server = site.running.health._http
    assert server is not None
    await server.stop(0)
    status, answer = await site.call("GET", "/health")
    assert (status, answer["data"]["provisioning_http"]) == (503, "failed")
