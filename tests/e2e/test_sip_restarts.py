"""Restarts over SIP: with and without the Call-ID of the registration, and with SIPp as the phone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from cisisk.model.codes.restart import RestartRefusal, SipMeaning
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Registration, Target
from cisisk.restart.sip_notify import SipNotify
from cisisk.simulator.models import find_model
from cisisk.simulator.phone import SimulatedPhone
from cisisk.sip.transaction import SipClient
from tests.e2e.running_site import Site, free_port, open_site, settings_for
from tests.notices import carries, codes_in
from tests.patience import PATIENCE
from tests.protocol.asterisk import SECRET, USERNAME, AsteriskEmulator, Registered
from tests.protocol.sipp import scenario

FIRST_SIP_IMAGE = replace(find_model("7940"), load="P0S3-8-12-00")
OUT_OF_SYNC = '<SYNCINFO><IMAGE VERSION="*" SYNC="2"/></SYNCINFO>'
SCENARIO = scenario(
    "a phone that wants credentials",
    "NOTIFY",
    realm="phone",
    username="admin",
    password="secret",
    header="Event",
    regexp="check-sync",
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Start a site that restarts SIP phones over SIP only."""
    settings = settings_for(
        tmp_path,
        restart={"sip": ["sip-notify"]},
        phone_sip={"port": free_port(), "timeout": 2, "username": "admin", "password": "secret"},
    )
    async with open_site(settings) as running:
        yield running


async def flat_profile(site: Site, label: str) -> str:
    """Create a profile for a 7940 with SIP firmware."""
    return await site.profile(label, cnf_xml=f"line1_name: {label}\n", content_type="cnf")


async def give_config(site: Site, phone: SimulatedPhone, label: str) -> None:
    """Give the phone a config with line ``label`` and wait until it runs it."""
    await phone.wait_for_boot(1, PATIENCE)
    is_flat = phone.load == FIRST_SIP_IMAGE.load
    profile = await (flat_profile(site, label) if is_flat else site.profile(label))
    switched = await site.switch(profile, phone.mac)
    phone.restart("plugged in")
    await phone.wait_for_config(switched["sha256"], PATIENCE)
    await site.reaches(switched["deployment"], "fetched")


async def test_phone_7940_with_sip_image_restarts_after_check_sync(site: Site) -> None:
    (site.root / "syncinfo.xml").write_text(OUT_OF_SYNC, "utf-8")
    async with site.phone(FIRST_SIP_IMAGE, sip_port=site.settings.phone_sip.port) as phone:
        await site.data("POST", "/phones", {"mac": str(phone.mac), "model": "CP-7940G", "software": "SIP"})
        await give_config(site, phone, "201")
        switched = await site.switch(await flat_profile(site, "305"), phone.mac)
        assert switched["restart"] == "ok"
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        done = await site.reaches(switched["deployment"], "fetched")
        assert done["restart_method"] == "sip-notify"


async def test_restart_for_unknown_line_is_refused_with_404(site: Site) -> None:
    async with site.phone(FIRST_SIP_IMAGE, sip_port=site.settings.phone_sip.port) as phone:
        await site.data("POST", "/phones", {"mac": str(phone.mac), "model": "CP-7940G", "software": "SIP"})
        await give_config(site, phone, "201")
        # The phone does not fetch this config, so it keeps its line 201.
        await site.switch(await flat_profile(site, "202"), phone.mac)
        switched = await site.switch(await flat_profile(site, "203"), phone.mac)
        assert SipMeaning.UNKNOWN_LINE in codes_in(switched["restart_detail"])


async def test_restart_without_call_id_is_refused(site: Site) -> None:
    async with site.phone("7965", sip_port=site.settings.phone_sip.port) as phone:
        await give_config(site, phone, "201")
        switched = await site.switch(await site.profile("305"), phone.mac)
        refused = {refusal["method"]: refusal["code"] for refusal in switched["restart_detail"]}
        assert refused["sip-notify"] == RestartRefusal.SIP_NEEDS_CALL_ID
        assert (await site.deployment(switched["deployment"]))["state"] == "waiting"


@pytest.mark.parametrize(("transport", "load", "action"), [(1, "", "restart"), (2, "SIP45.9-4-2SR3-1S", "reset")])
async def test_restart_uses_call_id_from_asterisk_without_notify_permission(
    tmp_path: Path, transport: int, load: str, action: str
) -> None:
    heard: list[str] = []
    more = f"<transportLayerProtocol>{transport}</transportLayerProtocol>"
    async with AsteriskEmulator(denied={"pjsipnotify"}) as asterisk:
        settings = settings_for(
            tmp_path,
            asterisk={"host": "127.0.0.1", "port": asterisk.port, "username": USERNAME, "secret": SECRET},
            restart={"sip": ["ami-pjsip", "sip-notify"]},
        )
        async with (
            open_site(settings) as site,
            site.phone("7965", sip_port=settings.phone_sip.port, on_event=lambda _, text: heard.append(text)) as phone,
        ):
            old, new = (site.config(label).replace("</device>", f"{more}</device>") for label in ("201", "305"))
            new = new.replace("</device>", f"<loadInformation>{load}</loadInformation></device>")
            await phone.wait_for_boot(1, PATIENCE)
            first = await site.switch(await site.profile("201", cnf_xml=old), phone.mac)
            phone.restart("plugged in")
            await phone.wait_for_config(first["sha256"], PATIENCE)
            await site.reaches(first["deployment"], "fetched")
            asterisk.phones.append(Registered("201", phone.address, phone.call_id, user="201"))

            switched = await site.switch(await site.profile("305", cnf_xml=new), phone.mac)
            assert switched["restart"] == "ok"
            await phone.wait_for_config(switched["sha256"], PATIENCE)
            done = await site.reaches(switched["deployment"], "fetched")
    assert done["restart_method"] == "sip-notify"
    assert f"restart (SIP {action})" in heard


async def test_restart_of_powered_off_phone_is_connection_refused(site: Site) -> None:
    async with site.phone(FIRST_SIP_IMAGE, sip_port=site.settings.phone_sip.port) as phone:
        await site.data("POST", "/phones", {"mac": str(phone.mac), "model": "CP-7940G", "software": "SIP"})
        await give_config(site, phone, "201")
    switched = await site.switch(await flat_profile(site, "305"), phone.mac)
    assert RestartRefusal.SIP_CONNECTION_REFUSED in codes_in(switched["restart_detail"])


async def test_restart_with_current_call_id_waits_for_call_end(site: Site) -> None:
    async with site.phone("7965", sip_port=site.settings.phone_sip.port) as phone, SipClient() as client:
        await give_config(site, phone, "201")
        notify = SipNotify(client, site.settings.phone_sip)
        served = site.config("201").encode()
        target = Target(
            mac=phone.mac,
            address=phone.address,
            model="7965",
            software=Software.SIP,
            served=served,
            wanted=served,
            registration=Registration(user="201", call_id=phone.call_id),
        )
        runs, first_call_id = phone.runs, phone.call_id
        phone.in_call = True
        await notify.restart(target)
        assert phone.runs == runs
        phone.in_call = False
        await phone.wait_for_boot(runs + 1, PATIENCE)

        assert phone.call_id != first_call_id
        with pytest.raises(NotRestarted, check=carries(RestartRefusal.SIP_STATUS, status=400)):
            await notify.restart(target)


@asynccontextmanager
async def sipp(directory: Path, address: str, port: int) -> AsyncIterator["asyncio.subprocess.Process"]:
    """Start SIPp as one phone, and wait until it listens."""
    script = directory / "phone.xml"
    script.write_text(SCENARIO, "utf-8")
    process = await asyncio.create_subprocess_exec(
        "sipp", "-sf", str(script), "-i", address, "-p", str(port), "-m", "1", "-timeout", f"{PATIENCE:g}",
        "-timeout_error", "-nostdin", "-trace_logs", "-log_file", str(directory / "said"), "-deadcall_wait", "0",
        cwd=directory, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            while not listens(address, port):  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.01)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def listens(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return True
        return False


@pytest.mark.needs("sipp")
async def test_restart_of_sipp_phone_answers_digest_challenge(site: Site, tmp_path: Path) -> None:
    address, mac = "127.0.77.7", site.new_mac()
    await site.data("POST", "/phones", {"mac": str(mac), "model": "7960", "software": "SIP", "phone_ip": address})
    await site.switch(await flat_profile(site, "201"), mac)
    async with sipp(tmp_path, address, site.settings.phone_sip.port) as phone:
        switched = await site.switch(await flat_profile(site, "305"), mac)
        assert switched["restart"] == "ok"
        async with asyncio.timeout(PATIENCE):
            assert await phone.wait() == 0
    assert (tmp_path / "said").read_text("utf-8").strip() == "check-sync"
    assert (await site.deployment(switched["deployment"]))["restart_method"] == "sip-notify"
