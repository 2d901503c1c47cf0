"""Switches of phones that restart over HTTP and fetch the new config over TFTP."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.errors import StorageFailed
from cisisk.model.notice import NoticeCode
from cisisk.provisioning.library import Library
from cisisk.provisioning.staging import Staged
from cisisk.simulator.faults import Faults
from cisisk.simulator.phone import PhoneState
from tests.e2e.running_site import Site, config, free_port, open_site, settings_for
from tests.notices import codes_in
from tests.patience import PATIENCE


async def test_switch_restarts_phone_that_fetches_exact_bytes(site: Site) -> None:
    first, second = await site.profile("201"), await site.profile("305")
    async with site.phone() as phone:
        await phone.wait_for_boot(1, PATIENCE)
        config = phone.config
        assert config is None

        prepared = await site.switch(first, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(prepared["sha256"], PATIENCE)
        assert phone.config == site.config("201").encode()

        switched = await site.switch(second, phone.mac)
        assert (switched["profile"], switched["mac"], switched["restart"]) == ("305", str(phone.mac), "ok")
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        assert phone.config == site.config("305").encode()

        done = await site.reaches(switched["deployment"], "fetched")
        assert done["fetched_from"] == phone.address
        assert done["restart_method"] == "cgi-init-restart"
        assert done["sha256"] == hashlib.sha256(phone.config).hexdigest()
        before = await site.deployment(prepared["deployment"])
        assert before["state"] == "fetched"


async def test_one_profile_on_two_phones_is_served_to_both(site: Site) -> None:
    profile = await site.profile("201")
    async with site.phone("7942") as one, site.phone("7965") as other:
        for phone in (one, other):
            await phone.wait_for_boot(1, PATIENCE)
            switched = await site.switch(profile, phone.mac)
            phone.restart("plugged in")
            await phone.wait_for_config(switched["sha256"], PATIENCE)
        assert one.config == other.config == site.config("201").encode()


async def test_phone_without_init_restart_is_restarted_by_keys(site: Site) -> None:
    first, second = await site.profile("201"), await site.profile("305")
    async with site.phone("7965") as phone:
        await site.data("POST", "/phones", {"mac": str(phone.mac), "model": "CP-7965G"})
        await phone.wait_for_boot(1, PATIENCE)
        await site.switch(first, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(hashlib.sha256(site.config("201").encode()).hexdigest(), PATIENCE)
        switched = await site.switch(second, phone.mac)
        assert switched["restart"] == "ok"
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        assert (await site.deployment(switched["deployment"]))["restart_method"] == "cgi-keys"


async def test_switch_closes_open_page_on_phone(site: Site) -> None:
    profile = await site.profile("201")
    async with site.phone(faults=Faults(refuse_restart=True)) as phone:
        await phone.wait_for_boot(1, PATIENCE)
        await site.switch(profile, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(hashlib.sha256(site.config("201").encode()).hexdigest(), PATIENCE)
        phone.open_page = "http://192.0.2.5/cisco/services/profile-switch"
        await site.switch(profile, phone.mac)
        assert phone.open_page is None


async def test_switch_with_full_disk_keeps_open_page_on_phone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(library: Library, name: str, content: bytes) -> Staged:
        raise StorageFailed(f"{name} could not be written: No space left on device")

    profile = await site.profile("201")
    async with site.phone() as phone:
        await phone.wait_for_boot(1, PATIENCE)
        switched = await site.switch(profile, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        phone.open_page = "http://192.0.2.5/cisco/services/profile-switch"
        monkeypatch.setattr(Library, "staged", refused)
        body = {"profile_uuid": await site.profile("305"), "mac": str(phone.mac)}
        status, _ = await site.call("POST", "/phone-profiles/switch", body)
        assert (status, phone.open_page) == (503, "http://192.0.2.5/cisco/services/profile-switch")


@pytest.mark.parametrize(("web_access", "calls"), [("0", 1), ("1", 0), ("2", 0)])
async def test_switch_with_web_access_off_does_not_close_page(tmp_path: Path, web_access: str, calls: int) -> None:
    called: list[asyncio.StreamReader] = []

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(reader)
        writer.close()

    address, port = "127.99.0.7", free_port()
    settings = settings_for(tmp_path, restart={"sip": ["sip-notify"]}, phone_http={"port": port})
    async with open_site(settings) as site, await asyncio.start_server(hang_up, address, port):
        profile = await site.profile("201", cnf_xml=config("201").replace("<webAccess>0", f"<webAccess>{web_access}"))
        mac = site.new_mac()
        await site.data("POST", "/phones", {"mac": str(mac), "phone_ip": address})
        await site.switch(profile, mac)
        called.clear()
        await site.switch(profile, mac)
        assert len(called) == calls


async def test_switch_replaces_placeholders_for_each_phone(site: Site) -> None:
    text = config("{{device_name}}", "http://{{server}}/", loadInformation="", versionStamp="{keep {{these}}}")
    profile = await site.profile("201", cnf_xml=text, placeholders=True)
    async with site.phone() as phone:
        # The first requests of the phone determine the value of {{server}}.
        await phone.wait_for_boot(1, PATIENCE)
        await asyncio.sleep(0.2)
        await site.switch(profile, phone.mac)
        served = await site.data("GET", f"/phone-config/{phone.mac}")
    assert f"<name>{phone.mac.device_name}</name>".encode() in served
    assert b"{keep {{these}}}" in served
    assert b"{{server}}" not in served


async def test_switch_of_never_seen_phone_reports_unknown_address(site: Site) -> None:
    switched = await site.switch(await site.profile("201"), site.new_mac())
    assert RestartRefusal.ADDRESS_UNKNOWN in codes_in(switched["restart_detail"])


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (Faults(web_off=True), RestartRefusal.HTTP_CONNECTION_REFUSED),
        (Faults(silent=True), RestartRefusal.HTTP_NO_ANSWER),
        (Faults(refuse_restart=True), RestartRefusal.ITEM_UNKNOWN),
    ],
)
async def test_switch_of_phone_that_refuses_has_the_reason(site: Site, faults: Faults, reason: NoticeCode) -> None:
    profile = await site.profile("201")
    async with site.phone(faults=faults) as phone:
        await phone.wait_for_boot(1, PATIENCE)
        first = await site.switch(profile, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(first["sha256"], PATIENCE)
        await site.reaches(first["deployment"], "fetched")
        switched = await site.switch(profile, phone.mac)
        assert reason in codes_in(switched["restart_detail"]), switched
        assert (await site.deployment(switched["deployment"]))["state"] == "waiting"


async def test_switch_with_foreign_authentication_url_has_the_reason(site: Site) -> None:
    elsewhere = await site.profile("201", cnf_xml=config("201", "http://127.0.0.1:9/"))
    async with site.phone() as phone:
        await phone.wait_for_boot(1, PATIENCE)
        first = await site.switch(elsewhere, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(first["sha256"], PATIENCE)
        await site.reaches(first["deployment"], "fetched")
        switched = await site.switch(elsewhere, phone.mac)
        assert RestartRefusal.CREDENTIALS_NOT_CHECKED in codes_in(switched["restart_detail"])


async def test_authentication_request_of_strangers_is_unauthorized(site: Site) -> None:
    url = f"{site.running.phones_url}/cisco/authentication"
    for query in ({}, {"UserID": "admin", "Password": "x"}, {"userid": "", "password": ""}):
        async with site.session.get(url, params=query) as response:
            assert response.status == 200
            assert await response.text() == "UN-AUTHORIZED"


async def test_switch_adopts_foreign_file_before_replacing_it(site: Site) -> None:
    mac = site.new_mac()
    foreign = site.root / mac.config_name.lower()
    foreign.write_bytes(b"<device>by hand</device>")
    await site.switch(await site.profile("201"), mac)
    assert [path.name for path in site.root.iterdir() if path.is_file()] == [mac.config_name]
    assert site.versions(mac) == [("adopted", b"<device>by hand</device>"), ("switch", site.config("201").encode())]
    assert await site.data("GET", f"/phone-config/{mac}") == site.config("201").encode()


async def test_concurrent_switches_of_one_phone_serve_the_last(site: Site) -> None:
    profiles = [await site.profile(f"{number:03}") for number in range(50)]
    async with site.phone() as phone:
        await phone.wait_for_boot(1, PATIENCE)
        first = await site.switch(profiles[0], phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(first["sha256"], PATIENCE)
        await site.reaches(first["deployment"], "fetched")
        answers = await asyncio.gather(*(site.switch(profile, phone.mac) for profile in profiles))
        served = await site.data("GET", f"/phone-config/{phone.mac}")
        deployments = [await site.deployment(answer["deployment"]) for answer in answers]
        last = max(deployments, key=lambda deployment: deployment["written_at"])
        assert hashlib.sha256(served).hexdigest() == last["sha256"]
        assert sum(deployment["superseded_at"] is None for deployment in deployments) == 1
        assert [answer["restart"] for answer in answers].count("ok") >= 1
        await phone.wait_until(
            lambda: phone.state is PhoneState.RUNNING and phone.config == served, PATIENCE, "runs what is served"
        )


async def test_switch_does_not_restart_other_phone_at_address(site: Site) -> None:
    profile = await site.profile("201")
    async with site.phone() as present:
        await present.wait_for_boot(1, PATIENCE)
        switched = await site.switch(profile, present.mac)
        present.restart("plugged in")
        await present.wait_for_config(switched["sha256"], PATIENCE)
        runs = present.runs
        gone = site.new_mac()
        await site.data("POST", "/phones", {"mac": str(gone), "phone_ip": present.address})
        switched = await site.switch(profile, gone)
        other = {"device": present.device_name}
        assert other in [refusal["parameters"] for refusal in switched["restart_detail"]]
        assert present.runs == runs
        assert present.state is PhoneState.RUNNING
