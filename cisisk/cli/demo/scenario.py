"""The steps of the demo: two users and two phones, with checks of each switch."""

import asyncio
import hashlib
import secrets
from contextlib import AsyncExitStack
from importlib import resources
from typing import Any, Self

from cisisk.appliance.appliance import Appliance
from cisisk.cli.demo.client import DemoClient
from cisisk.model.mac import Mac
from cisisk.model.restart import RestartOutcome
from cisisk.simulator.boot import FetchResult
from cisisk.simulator.models import find_model
from cisisk.simulator.phone import SimulatedPhone
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.timing import Timing

TIMEOUT_SECONDS = 60.0
"""Timeout of one step; a step takes about one second."""
_TIMING = Timing(tftp=TftpRetry(interval=1.0, retries=3), offline=0.5, boot_pause=1.0)
"""Shorter restarts than those of a real phone, which take half a minute."""
_PHONES = (("00:11:22:33:44:01", "7942", "127.0.2.1"), ("00:11:22:33:44:02", "7965", "127.0.2.2"))


class Scenario:
    """The steps of the demo. The phones run while the context is open."""

    def __init__(self, running: Appliance, client: DemoClient, web_port: int) -> None:
        server, tftp_port = running.tftp_address or ("", 0)
        _, http_port = running.provisioning_http_address or ("", 0)
        self._client = client
        self._phones_url = running.phones_url
        self._phones = [
            SimulatedPhone(
                Mac.parse(mac),
                find_model(model),
                address=address,
                server=server,
                tftp_port=tftp_port,
                http_port=http_port,
                web_port=web_port,
                # The port of the model may be in use by another demo.
                source_port=0,
                timing=_TIMING,
            )
            for mac, model, address in _PHONES
        ]
        self._powered = AsyncExitStack()
        self._succeeded = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._powered.aclose()

    async def run(self) -> bool:
        """Run all steps. Return whether every check succeeded."""
        anna = await self._profile_of("Anna", "201")
        ben = await self._profile_of("Ben", "305")
        reception, lobby = self._phones
        for phone, place in ((reception, "Reception"), (lobby, "Lobby")):
            await self._client.post(
                "/phones", {"mac": str(phone.mac), "model": phone.model.product, "name": place, "software": "SIP"}
            )
            self._say(f"{place} has a {phone.model.product}, {phone.mac}")
        self._say("\nBoth phones get Anna's profile, then they are plugged in and boot")
        await self._prepare(reception, anna)
        await self._prepare(lobby, anna)
        self._say(f"\nBen works at the reception: switch {reception.mac} to his profile")
        await self._switch(reception, ben)
        self._say(
            f"\nBen moves to the lobby, whose phone uses another restart method: switch {lobby.mac} to his profile"
        )
        await self._switch(lobby, ben)
        return self._succeeded

    async def _profile_of(self, name: str, extension: str) -> dict[str, Any]:
        user = await self._client.post(
            "/users",
            {
                "first_name": name,
                "last_name": "Example",
                "username": name.lower(),
                "email": f"{name.lower()}@example.org",
                "password": secrets.token_urlsafe(9),
            },
        )
        profile: dict[str, Any] = await self._client.post(
            "/phone-profiles",
            {
                "user_uuid": user["uuid"],
                "name": f"{name}'s desk",
                "cnf_xml": _config(name, extension, self._phones_url),
                "software_type": "SIP",
                "placeholders": True,
            },
        )
        self._say(f"{name} has extension {extension} in the profile {profile['name']}")
        return profile

    async def _prepare(self, phone: SimulatedPhone, profile: dict[str, Any]) -> None:
        """Switch a phone to a profile before its first boot, then power it on."""
        switch = await self._client.post(
            "/phone-profiles/switch", {"profile_uuid": profile["uuid"], "mac": str(phone.mac)}
        )
        await self._powered.enter_async_context(phone)
        await self._expect_fetch(phone, switch)

    async def _switch(self, phone: SimulatedPhone, profile: dict[str, Any]) -> None:
        phone.open_page = "http://somewhere/services"
        switch = await self._client.post(
            "/phone-profiles/switch", {"profile_uuid": profile["uuid"], "mac": str(phone.mac)}
        )
        served = hashlib.sha256(await self._client.get_raw(f"/phone-config/{phone.mac}")).hexdigest()
        self._check(
            f"config written: {phone.mac.config_name}, sha256 {served[:16]}...", is_true=served == switch["sha256"]
        )
        self._check("session cleared: the page on the screen was closed", is_true=phone.open_page is None)
        deployment = await self._client.get(f"/deployments/{switch['deployment']}")
        accepted = switch["restart_outcome"] == RestartOutcome.ACCEPTED
        outcome = f"accepted by {deployment['restart_method']}" if accepted else switch["restart"]
        self._check(f"restart {outcome}", is_true=accepted)
        await self._expect_fetch(phone, switch)

    async def _expect_fetch(self, phone: SimulatedPhone, switch: dict[str, Any]) -> None:
        try:
            await phone.wait_for_config(switch["sha256"], TIMEOUT_SECONDS)
            deployment = await self._fetched(switch["deployment"])
        except TimeoutError as error:
            self._check(f"not fetched: {error}", is_true=False)
            return
        same = deployment["fetched_from"] == phone.address and phone.config_sha256 == deployment["sha256"]
        self._check(
            f"fetched over {_protocol(phone)} by {phone.mac} at {deployment['fetched_from']}, running sha256 "
            f"{str(phone.config_sha256)[:16]}...: {switch['profile']}",
            is_true=same,
        )

    async def _fetched(self, uuid: str) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                deployment: dict[str, Any] = await self._client.get(f"/deployments/{uuid}")
                if deployment["state"] == "fetched":
                    return deployment
                await asyncio.sleep(0.05)

    def _check(self, text: str, *, is_true: bool) -> None:
        self._succeeded &= is_true
        self._say(f"  {'ok ' if is_true else 'NOT'} {text}")

    def _say(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 -- output of the command


def _protocol(phone: SimulatedPhone) -> str:
    """Return the protocol over which the phone fetched its config."""
    received = (phone.mac.config_name, FetchResult.RECEIVED)
    return next(
        attempt.via.upper() for attempt in phone.boots[-1].attempts if (attempt.name, attempt.result) == received
    )


def _config(name: str, extension: str, phones_url: str) -> str:
    """Return a complete config for the demo."""
    template = resources.files(__package__).joinpath("SEP.cnf.xml").read_text("utf-8")
    for mark, value in (
        ("@NAME@", name),
        ("@EXTENSION@", extension),
        ("@PASSWORD@", secrets.token_urlsafe(12)),
        ("@PHONES_URL@", phones_url),
    ):
        template = template.replace(mark, value)
    return template
