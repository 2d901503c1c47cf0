"""The fetch log, boot reports, discovered phones and the default config."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance.limits import Limits
from cisisk.fetches.log import FetchLogLimits
from cisisk.model.errors import ConfigurationError
from cisisk.simulator import tftp_client
from cisisk.simulator.tftp_download import FileAbsent
from tests.api.client import CONFIG, MAC, SWITCH, TIME, Client, Site, check_error
from tests.api.conftest import SiteWith
from tests.patience import PATIENCE

FETCH = {
    *("number", "started_at", "protocol", "peer", "port", "local", "name", "mac", "outcome", "sha256", "size"),
    *("acknowledged", "blocks", "retransmits", "duration", "options"),
}
BOOT = {"kind", "started_at", "ended_at", "addresses", "needs_care", "findings", "requests"}
REQUEST = {
    *("number", "started_at", "protocol", "name", "outcome", "sha256", "size", "duration", "purpose", "by_address"),
    *("code", "parameters", "meaning", "care"),
}


async def ask(site: Site, *names: str, address: str = "127.0.0.1") -> list[bytes | None]:
    """Fetch files over TFTP, None for absent ones, and wait until the log has all fetches."""
    assert site.running.tftp_address
    before = await count(site)
    got: list[bytes | None] = []
    for name in names:
        try:
            got.append(await tftp_client.fetch(name, server=site.running.tftp_address, local=(address, 0)))
        except FileAbsent:
            got.append(None)
    async with asyncio.timeout(PATIENCE):
        while await count(site) < before + len(names):  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.01)
    return got


async def count(site: Site) -> int:
    return int((await site.admin.get("/fetches?limit=1")).metadata["total"])


async def switched(site: Site) -> None:
    uuid = await site.admin.new_profile(site.admin_uuid)
    await site.admin.post(SWITCH, {"profile_uuid": uuid, "mac": MAC})


async def test_fetch_log_lists_newest_first(site: Site) -> None:
    await switched(site)
    got = await ask(site, "CTLSEPAABBCCDDEE01.tlv", "SEPAABBCCDDEE01.cnf.xml", "Ringlist.xml")
    assert got == [None, CONFIG.encode(), None]
    answer = await site.admin.get("/fetches")
    assert answer.message == "3 fetch(es) found"
    assert [answer.metadata[name] for name in ("total", "limit", "offset")] == [3, 100, 0]
    assert all(set(row) == FETCH for row in answer.data)
    ringlist, config, trust_list = answer.data
    assert [row["outcome"] for row in answer.data] == ["absent", "completed", "absent"]
    assert (config["mac"], config["size"], config["acknowledged"]) == (MAC, len(CONFIG), len(CONFIG))
    assert (ringlist["mac"], ringlist["name"], ringlist["sha256"]) == (None, "Ringlist.xml", None)
    assert (trust_list["mac"], trust_list["protocol"], trust_list["peer"]) == (MAC, "tftp", "127.0.0.1")
    assert TIME.fullmatch(config["started_at"])


async def test_fetch_log_is_filtered_searched_sorted_and_paged(site: Site) -> None:
    await ask(site, "CTLSEPAABBCCDDEE01.tlv", "SEPAABBCCDDEE01.cnf.xml", "Ringlist.xml")
    await ask(site, "ring2.raw", address="127.0.0.9")
    moment = (await site.admin.get("/fetches?name=ring2")).data[0]["started_at"]
    for query, names in {
        "mac=aabb.ccdd.ee01": ["SEPAABBCCDDEE01.cnf.xml", "CTLSEPAABBCCDDEE01.tlv"],
        "peer=127.0.0.9": ["ring2.raw"],
        "protocol=http": [],
        "protocol=tftp&name=RING": ["ring2.raw", "Ringlist.xml"],
        "outcome=completed": [],
        "q=ctl": ["CTLSEPAABBCCDDEE01.tlv"],
        f"from={moment}": ["ring2.raw"],
        f"to={moment}": ["Ringlist.xml", "SEPAABBCCDDEE01.cnf.xml", "CTLSEPAABBCCDDEE01.tlv"],
        "limit=1&offset=1": ["Ringlist.xml"],
        "sort=name&limit=1": ["CTLSEPAABBCCDDEE01.tlv"],
    }.items():
        answer = await site.admin.get(f"/fetches?{query}")
        assert (query, [row["name"] for row in answer.data]) == (query, names)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("mac=nonsense", "mac"), ("peer=lobby", "peer"), ("protocol=gopher", "protocol"), ("outcome=x", "outcome")),
        *(("from=yesterday", "from"), ("from=2026-06-28T12:00:00", "from"), ("to=0001-01-01T00:00:00%2B23:59", "to")),
        *(("limit=0", "limit"), ("limit=1001", "limit"), ("sort=mac", "sort")),
    ],
)
async def test_fetch_log_with_invalid_filter_is_422(admin: Client, query: str, field: str) -> None:
    answer = await admin.get(f"/fetches?{query}")
    check_error(answer, 422)
    assert list(answer.fields) == [field]


async def test_fetch_log_requires_superadmin(site: Site) -> None:
    clerk = await site.clerk()
    for path in ("/fetches", f"/phones/{MAC}/boots"):
        check_error(await clerk.get(path), 403)
        check_error(await site.anonymous.get(path), 401)


async def test_boot_report_has_findings_and_requests(site: Site) -> None:
    await switched(site)
    silence = await site.admin.get(f"/phones/{MAC}/boots")
    assert silence.message == "1 boot(s) found"
    assert (silence.data[0]["kind"], silence.data[0]["findings"][0]["code"]) == ("silence", "no_contact_since")
    await ask(site, "CTLSEPAABBCCDDEE01.tlv", "SEPAABBCCDDEE01.cnf.xml", "English/mk-sip.jar")

    answer = await site.admin.get(f"/phones/SEP{MAC.replace(':', '')}/boots")
    [boot] = answer.data
    assert [answer.metadata[name] for name in ("total", "limit", "offset")] == [1, 20, 0]
    assert set(boot) == BOOT
    assert (boot["kind"], boot["needs_care"], boot["addresses"]) == ("boot", False, ["127.0.0.1"])
    [finding] = boot["findings"]
    assert set(finding) == {"code", "parameters", "message", "remedy", "remedies", "care"}
    assert (finding["code"], finding["parameters"]["protocol"], finding["remedy"]) == ("configured", "TFTP", None)
    assert all(set(request) == REQUEST for request in boot["requests"])
    assert [request["code"] for request in boot["requests"]] == ["no_trust_list", "taken", "no_dictionary"]
    assert [request["care"] for request in boot["requests"]] == ["harmless", "none", "harmless"]
    assert [request["by_address"] for request in boot["requests"]] == [False, False, True]
    assert (await site.admin.get(f"/phones/{MAC}/boots?offset=1")).data == []
    check_error(await site.admin.get(f"/phones/{MAC}/boots?limit=0"), 422)
    check_error(await site.admin.get("/phones/AA:BB:CC:DD:EE:02/boots"), 404)


# Discovery


async def discovered(site: Site) -> dict[str, Any]:
    """Wait until the phone is in the inventory, and return it."""
    async with asyncio.timeout(PATIENCE):
        while (answer := await site.admin.get(f"/phones/{MAC}")).status == 404:  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.01)
    return dict(answer.data)


async def test_unknown_phone_is_discovered_with_its_facts(site: Site) -> None:
    await ask(site, "CTLSEPAABBCCDDEE01.tlv", "SEPAABBCCDDEE01.cnf.xml.sgn")
    phone = await discovered(site)
    assert (phone["seen_ip"], phone["model"], phone["software"]) == ("127.0.0.1", None, None)
    assert TIME.fullmatch(phone["discovered"].pop("at"))
    assert phone["discovered"] == {
        "protocols": ["tftp"],
        "software": None,
        "models": [],
        "firmware": [],
        "signed": True,
        "recovering": False,
    }
    [listed] = (await site.admin.get("/phones")).data
    assert listed["discovered"]["signed"] is True
    [boot] = (await site.admin.get(f"/phones/{MAC}/boots")).data
    assert [finding["code"] for finding in boot["findings"]] == ["foreign_trust_list"]


async def test_discovered_phone_changed_by_user_is_no_longer_discovered(
    site_with: SiteWith,
) -> None:
    async with site_with(Limits(fetch_log=FetchLogLimits(quiet_seconds=0.1))) as site:
        await check_discovered_flag_is_cleared(site)


async def check_discovered_flag_is_cleared(site: Site) -> None:
    async def rediscover() -> None:
        await site.admin.delete(f"/phones/{MAC}")
        await ask(site, "CTLSEPAABBCCDDEE01.tlv", "SEPAABBCCDDEE01.cnf.xml")
        assert (await discovered(site))["discovered"] is not None

    await rediscover()
    assert (await site.admin.put(f"/phones/{MAC}", {"name": "Lobby"})).data["discovered"] is None
    await rediscover()
    created = await site.admin.post("/phones", {"mac": MAC, "name": "Lobby"})
    assert (created.status, created.data["software"], created.data["discovered"]) == (201, "SIP", None)
    await rediscover()
    await switched(site)
    assert (await site.admin.get(f"/phones/{MAC}")).data["discovered"] is None


# The default config


DEFAULT = {
    "provisioning": {"default_call_manager": "pbx.example.org"},
    "server": {"public_url": "http://192.0.2.5:8080/"},
}


async def test_default_config_names_configured_call_manager(site_with: SiteWith) -> None:
    async with site_with(**DEFAULT) as site:
        for name in ("XMLDefault.cnf.xml", "/XmlDefault.cnf.xml"):
            [made] = await ask(site, name)
            assert made is not None
            assert b"<processNodeName>pbx.example.org</processNodeName>" in made
            assert b"<authenticationURL>http://192.0.2.5:8080/cisco/authentication</authenticationURL>" in made
            assert b"loadInformation" not in made
        assert await ask(site, "XMLDefault7960.cnf.xml") == [None]
        assert list(site.settings.served_root.glob("[!.]*")) == []


async def test_default_config_without_public_url_refuses_start(site_with: SiteWith) -> None:
    with pytest.raises(ConfigurationError, match=r"set server\.public_url too"):
        async with site_with(provisioning=DEFAULT["provisioning"]):
            pass


async def test_default_config_file_overrides_generated_one(site_with: SiteWith, tmp_path: Path) -> None:
    served = tmp_path / "data" / "tftpboot"
    served.mkdir(mode=0o700, parents=True)
    (served / "xmldefault.CNF.xml").write_bytes(b"<Default/>")
    async with site_with(**DEFAULT) as site:
        assert await ask(site, "XMLDefault.cnf.xml") == [b"<Default/>"]


async def test_default_config_without_setting_is_absent(site: Site) -> None:
    assert await ask(site, "XMLDefault.cnf.xml") == [None]
