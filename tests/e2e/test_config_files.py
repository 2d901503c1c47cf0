"""Phones that read another file than SEP<MAC>.cnf.xml: the first SIP generation, and analogue adapters."""

from pathlib import Path
from typing import Any

import pytest

from cisisk.model.mac import Mac
from cisisk.simulator import tftp_client
from cisisk.simulator.tftp_download import FileAbsent
from tests.e2e.running_site import Site, config, open_site, settings_for, until

CASES = Path(__file__).parents[1] / "cases"
SIGNPOST = (CASES / "i42-7940-stub-without-lines.cnf.xml").read_bytes()
ADAPTER = (CASES / "ATA02005E000941.cnf.xml").read_text()
SWITCH = "/phone-profiles/switch"


def flat(line: str) -> str:
    return f'image_version: "P0S3-8-12-00"\nline1_name: {line}\nline1_password: "secret{line}"\n'


async def fetch(site: Site, name: str, host: str) -> bytes | None:
    assert site.running.tftp_address
    try:
        return await tftp_client.fetch(name, server=site.running.tftp_address, local=(host, 0))
    except FileAbsent:
        return None


async def flat_profile(site: Site, line: str, **fields: Any) -> str:
    return await site.profile(line, cnf_xml=flat(line), content_type="cnf", **fields)


async def refusal(site: Site, profile: str, mac: Mac) -> Any:
    status, answer = await site.call("POST", SWITCH, {"profile_uuid": profile, "mac": str(mac)})
    assert status == 409, answer
    return answer["error"]["code"], answer["message"]


async def test_flat_profile_is_served_as_sip_cnf_and_fetched(site: Site) -> None:
    mac, host = site.new_mac(), "127.21.0.1"
    first, second = await flat_profile(site, "201"), await flat_profile(site, "305")
    await site.data("POST", "/phones", {"mac": str(mac), "model": "CP-7960G", "software": "SIP"})
    done = await site.switch(first, mac)
    assert (site.root / mac.flat_config_name).read_text() == flat("201")
    assert not (site.root / mac.config_name).exists()
    assert await fetch(site, mac.flat_config_name.lower(), host) == flat("201").encode()
    reached = await site.reaches(done["deployment"], "fetched")
    (written,) = [step for step in reached["steps"] if step["code"] == "config_written"]
    assert written["parameters"]["file"] == mac.flat_config_name
    dry = await site.data("POST", f"{SWITCH}?dry_run=true", {"profile_uuid": second, "mac": str(mac)})
    assert dry["preview"]["changes"] == ["line 1: 201 -> 305", "line1_password: changed"]
    newer = await site.switch(second, mac)
    assert await site.data("GET", f"/phone-config/{mac}") == flat("305").encode()
    await site.data("POST", f"/deployments/{newer['deployment']}/rollback")
    assert (site.root / mac.flat_config_name).read_text() == flat("201")
    assert [origin for origin, _ in site.versions(mac)] == ["switch", "switch"]
    assert (await site.data("GET", f"/phones/{mac}"))["drifted_at"] is None


async def test_rollback_of_flat_profile_serves_xml_config_again(site: Site) -> None:
    mac, host = site.new_mac(), "127.21.0.9"
    (site.root / mac.config_name).write_text(config("201"))
    done = await site.switch(await flat_profile(site, "305"), mac)
    assert await fetch(site, mac.config_name, host) is None
    assert await fetch(site, mac.flat_config_name, host) == flat("305").encode()
    await site.reaches(done["deployment"], "fetched")
    back = await site.data("POST", f"/deployments/{done['deployment']}/rollback")
    assert await fetch(site, mac.flat_config_name, host) is None
    assert await fetch(site, mac.config_name, host) == config("201").encode()
    await site.reaches(back["uuid"], "fetched")
    assert (await site.data("GET", f"/phones/{mac}"))["drifted_at"] is None


async def test_fetch_of_xml_config_does_not_count_for_flat_profile(site: Site) -> None:
    mac, host = site.new_mac(), "127.21.0.2"
    (site.root / mac.config_name).write_bytes(SIGNPOST)
    done = await site.switch(await flat_profile(site, "201"), mac)
    assert await fetch(site, mac.config_name, host) == SIGNPOST
    assert (await site.deployment(done["deployment"]))["fetched_at"] is None
    assert await fetch(site, mac.flat_config_name, host) == flat("201").encode()
    await site.reaches(done["deployment"], "fetched")
    assert (site.root / mac.config_name).read_bytes() == SIGNPOST


async def test_switched_phone_that_asks_for_flat_config_is_warned_about(site: Site) -> None:
    mac, host = site.new_mac(), "127.21.0.8"
    done = await site.switch(await site.profile("201"), mac)
    assert "reads_flat_config" not in [warning["code"] for warning in done["warnings"]]
    for name in ("SIPDefault.cnf", mac.flat_config_name):
        assert await fetch(site, name, host) is None
    await until(
        lambda: site.deployment(done["deployment"]),
        lambda found: "reads_flat_config" in [warning["code"] for warning in found["warnings"]],
    )


async def test_xml_profile_is_refused_for_phone_that_asks_for_flat_config(site: Site) -> None:
    mac, host = site.new_mac(), "127.21.0.3"
    xml = await site.profile("201")
    for name in ("SIPDefault.cnf", mac.flat_config_name):
        assert await fetch(site, name, host) is None

    async def seen() -> Any:
        return await site.call("POST", f"{SWITCH}?dry_run=true", {"profile_uuid": xml, "mac": str(mac)})

    status, answer = await until(seen, lambda found: found[0] == 409)
    assert status == 409, answer
    assert not (site.root / mac.config_name).exists()
    await site.switch(await flat_profile(site, "305"), mac)
    await refusal(site, xml, mac)


@pytest.mark.parametrize("case", ["i06-7940-sip", "i42-7940-stub-without-lines"])
async def test_config_for_flat_firmware_is_never_switched(site: Site, case: str) -> None:
    profile = await site.profile("201", cnf_xml=(CASES / f"{case}.cnf.xml").read_text())
    shown = await site.data("GET", f"/phone-profiles/{profile}")
    assert [warning["code"] for warning in shown["warnings"]] == ["load_not_served", "reads_flat_config"]
    mac = site.new_mac()
    await refusal(site, profile, mac)
    assert not (site.root / mac.config_name).exists()


async def test_sccp_config_without_protocol_is_refused_for_sip_phone(site: Site) -> None:
    content = (CASES / "i01-sccp-no-protocol.cnf.xml").read_text()
    profile, mac = await site.profile("SCCP", cnf_xml=content), site.new_mac()
    await site.data("POST", "/phones", {"mac": str(mac), "software": "SIP"})
    _, message = await refusal(site, profile, mac)
    assert "SCCP" in message
    other = site.new_mac()
    await site.data("POST", "/phones", {"mac": str(other), "software": "SCCP"})
    await site.switch(profile, other)


async def test_restart_methods_follow_what_phone_asked_for(tmp_path: Path) -> None:
    orders = {"sip": ["cgi-keys"], "sccp": ["cgi-init-restart"]}
    async with open_site(settings_for(tmp_path, restart=orders)) as site:
        mac, host = site.new_mac(), "127.21.0.4"
        profile = await site.profile("201")

        async def methods() -> Any:
            dry = await site.data("POST", f"{SWITCH}?dry_run=true", {"profile_uuid": profile, "mac": str(mac)})
            return dry["preview"]["methods"]

        assert await methods() == ["cgi-keys"]
        for name in (mac.config_name, "SCCP42.9-4-2SR3-1S.loads"):
            assert await fetch(site, name, host) is None
        await until(methods, lambda found: found == ["cgi-init-restart"])
        derived = await site.profile("X", cnf_xml=(CASES / "i01-sccp-no-protocol.cnf.xml").read_text())
        unknown = {"profile_uuid": derived, "mac": str(site.new_mac())}
        dry = await site.data("POST", f"{SWITCH}?dry_run=true", unknown)
        assert (dry["preview"]["methods"], dry["preview"]["restart"]) == (["cgi-init-restart"], "reset")


async def test_adapter_is_served_both_configs_by_their_names(site: Site) -> None:
    mac, host = Mac.parse("00:1B:54:00:09:41"), "127.21.0.5"
    await site.data("POST", "/phones", {"mac": str(mac), "model": "ATA 187"})
    profile = await site.profile("ATA", cnf_xml=ADAPTER)
    for port in (mac, mac.second_port):
        done = await site.switch(profile, port)
        assert (site.root / port.adapter_config_name).read_text() == ADAPTER
        assert not (site.root / port.config_name).exists()
        assert await fetch(site, port.adapter_config_name, host) == ADAPTER.encode()
        await site.reaches(done["deployment"], "fetched")
        again = await site.switch(await site.profile("Other", cnf_xml=ADAPTER.replace("1001", "1002")), port)
        assert await fetch(site, port.adapter_config_name, host) == ADAPTER.replace("1001", "1002").encode()
        await site.reaches(again["deployment"], "fetched")
    stories = await site.data("GET", f"/phones/{mac}/boots")
    assert stories


async def test_adapter_that_asked_for_its_config_is_recognised(site: Site) -> None:
    mac, host = site.new_mac(), "127.21.0.6"
    assert await fetch(site, mac.adapter_config_name, host) is None
    profile = await site.profile(
        "ATA", cnf_xml=ADAPTER.replace("</device>", "<!--{{device_name}}--></device>"), placeholders=True
    )

    async def content() -> Any:
        dry = await site.data("POST", f"{SWITCH}?dry_run=true", {"profile_uuid": profile, "mac": str(mac)})
        return dry["sha256"]

    before = await content()
    await until(lambda: site.call("GET", f"/phones/{mac}/boots"), lambda found: found[0] != 500)
    await site.switch(profile, mac)
    assert before
    assert f"<!--ATA{mac.digits}-->" in (site.root / mac.adapter_config_name).read_text()


async def test_uploaded_flat_config_is_checked_and_becomes_a_version(site: Site) -> None:
    mac = site.new_mac()
    path = f"/files/{mac.flat_config_name}"
    headers = {"Authorization": f"Bearer {site.token}"}
    for body, status in ((b"line1_name 201", 422), (config("201").encode(), 422), (flat("201").encode(), 200)):
        url = f"{site.running.api_url}/api/v1{path}"
        async with site.session.put(url, data=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()
    assert site.versions(mac) == [("adopted", flat("201").encode())]
    assert await site.data("GET", f"/phone-config/{mac}") == flat("201").encode()


async def test_adopted_directory_makes_phones_of_flat_and_adapter_configs(site: Site) -> None:
    source, port = site.root, Mac.parse("00:1B:54:00:09:41").second_port
    old, flat_phone = Mac.parse("02:00:5E:00:09:41"), site.new_mac()
    (source / old.adapter_config_name).write_text(ADAPTER)
    (source / port.adapter_config_name).write_text(ADAPTER.replace("1001", "1002"))
    (source / flat_phone.flat_config_name).write_text(flat("201"))
    (source / flat_phone.config_name).write_bytes(SIGNPOST)
    (source / "SIPDefault.cnf").write_text('proxy1_address: "192.0.2.10"\n')
    report = await site.data("POST", "/adoptions", {})
    assert (report["phones"], report["profiles"], report["unchanged"]) == (3, 3, 2)
    for mac, name in ((old, old.adapter_config_name), (port, port.adapter_config_name)):
        assert (site.root / name).exists()
        assert (await site.data("GET", f"/phones/{mac}"))["current_profile_uuid"]
    assert (site.root / flat_phone.config_name).read_bytes() == SIGNPOST
    assert (await site.data("GET", f"/phones/{flat_phone}"))["current_profile_uuid"]
