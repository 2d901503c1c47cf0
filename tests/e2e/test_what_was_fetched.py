"""What phones fetch is in the log, and told as the stories of their boots."""

from typing import Any

from tests.e2e.premises import Site, until
from tests.patience import PATIENCE


async def boots(site: Site, phone: Any) -> Any:
    """The stories, none while the phone is not in the inventory."""
    status, answer = await site.call("GET", f"/phones/{phone.mac}/boots")
    return answer["data"] if status == 200 else []


def findings(story: Any) -> list[str]:
    return [finding["code"] for finding in story["findings"]]


async def test_the_boots_of_an_unknown_phone_are_told_and_so_is_its_switch(site: Site) -> None:
    profile = await site.profile("201")
    async with site.phone("7942") as phone:
        await phone.wait_for_boot(1, PATIENCE)
        [first] = await until(lambda: boots(site, phone), lambda told: told and len(told[0]["requests"]) == 5)
        assert findings(first) == ["config_missing"]
        assert first["addresses"] == [phone.address]
        listed = await site.data("GET", f"/phones/{phone.mac}")
        assert listed["discovered"]["protocols"] == ["tftp"]

        switched = await site.switch(profile, phone.mac)
        phone.restart("somebody unplugs it")
        await phone.wait_for_config(switched["sha256"], PATIENCE)
        newest, _ = await until(lambda: boots(site, phone), lambda told: findings(told[0]) == ["configured"])

    fetches = await site.data("GET", f"/fetches?peer={phone.address}&outcome=completed")
    assert [(fetch["name"], fetch["sha256"]) for fetch in fetches] == [(phone.mac.config_name, switched["sha256"])]
    assert [request["name"] for request in newest["requests"]] == [
        f"CTLSEP{phone.mac.digits}.tlv",
        f"ITLSEP{phone.mac.digits}.tlv",
        "ITLFile.tlv",
        phone.mac.config_name,
    ]
