"""The boot reports of a phone, built from its fetches."""

from typing import Any

from tests.e2e.running_site import Site, until
from tests.patience import PATIENCE


async def boots(site: Site, phone: Any) -> Any:
    """Return the boots of a phone; none while it is not in the inventory."""
    status, answer = await site.call("GET", f"/phones/{phone.mac}/boots")
    return answer["data"] if status == 200 else []


def findings(boot: Any) -> list[str]:
    return [finding["code"] for finding in boot["findings"]]


async def test_boots_before_and_after_switch_have_findings(site: Site) -> None:
    profile = await site.profile("201")
    async with site.phone("7942") as phone:
        await phone.wait_for_boot(1, PATIENCE)
        [first] = await until(lambda: boots(site, phone), lambda found: found and len(found[0]["requests"]) == 5)
        assert findings(first) == ["config_missing"]
        assert first["addresses"] == [phone.address]
        listed = await site.data("GET", f"/phones/{phone.mac}")
        assert listed["discovered"]["protocols"] == ["tftp"]

        switched = await site.switch(profile, phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        newest, _ = await until(lambda: boots(site, phone), lambda found: findings(found[0]) == ["configured"])

    fetches = await site.data("GET", f"/fetches?peer={phone.address}&outcome=completed")
    assert [(fetch["name"], fetch["sha256"]) for fetch in fetches] == [(phone.mac.config_name, switched["sha256"])]
    assert [request["name"] for request in newest["requests"]] == [
        f"CTLSEP{phone.mac.digits}.tlv",
        f"ITLSEP{phone.mac.digits}.tlv",
        "ITLFile.tlv",
        phone.mac.config_name,
    ]
