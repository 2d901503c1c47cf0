"""A running appliance beside a real Asterisk, and simulated phones whose own state is the judge."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.model.mac import Mac
from cisisk.simulator.phone import SimulatedPhone
from tests.asterisk import configuration
from tests.asterisk.configuration import LINES, LINES_OF_PHONES, SECRET, SHARED_LINES, USERNAME
from tests.asterisk.judge import brief
from tests.asterisk.server import AsteriskServer
from tests.e2e.running_site import TIMING, Site, config, open_site, settings_for, until
from tests.patience import PATIENCE

SWITCH = "/phone-profiles/switch"
UDP, TCP = "2", "1"
PHONE_TIMING = replace(TIMING, registration=2.0, registration_retry=0.2, unregister=0.5, min_refresh=0.5, offline=0.1)
_lines = itertools.cycle(LINES)
_shared_lines = itertools.cycle(SHARED_LINES)
_lines_of_phones = itertools.cycle(LINES_OF_PHONES[::10])


def new_line() -> str:
    """Return a line that no other test of this process uses."""
    return str(next(_lines))


def new_shared_line() -> str:
    """Return a line with several contacts."""
    return str(next(_shared_lines))


def new_lines_of_phone() -> tuple[str, str]:
    """Return two lines of one endpoint, whose name is neither."""
    first = next(_lines_of_phones)
    return str(first), str(first + 1)


@dataclass
class AsteriskSite:
    """An appliance that restarts phones through an Asterisk.

    Attributes:
        transport: ``transportLayerProtocol`` of the phones' configs.
        expires: the lifetime of registrations that phones request, in seconds.
    """

    site: Site
    asterisk: AsteriskServer
    transport: str = UDP
    expires: int = 120
    profiles: dict[str, str] = field(default_factory=dict)

    def config(self, line: str, account: str | None = None) -> str:
        """Return a config whose first line registers at the Asterisk, as ``account`` or as the line itself."""
        account = account or line
        member = (
            f"<callManager><ports><sipPort>{self.asterisk.ports.sip}</sipPort></ports>"
            "<processNodeName>127.0.0.1</processNodeName></callManager>"
        )
        group = f"<callManagerGroup><members><member priority='0'>{member}</member></members></callManagerGroup>"
        text = config(
            line,
            f"{self.site.running.phones_url}/cisco/authentication",
            devicePool=group,
            transportLayerProtocol=self.transport,
        )
        login = f"<authName>{account}</authName><authPassword>{configuration.password(account)}</authPassword>"
        stack = f"<sipStack><timerRegisterExpires>{self.expires}</timerRegisterExpires></sipStack>"
        return text.replace("</line>", f"{login}</line>").replace("<sipProfile>", f"<sipProfile>{stack}")

    async def profile(self, line: str, account: str | None = None) -> str:
        """Return the profile of a line; create it first if there is none."""
        if line not in self.profiles:
            self.profiles[line] = await self.site.profile(line, cnf_xml=self.config(line, account))
        return self.profiles[line]

    def phone(self, **options: Any) -> SimulatedPhone:
        options.setdefault("timing", PHONE_TIMING)
        return self.site.phone("7942", sip_port=self.site.settings.phone_sip.port, **options)

    @asynccontextmanager
    async def phone_in_service(
        self, line: str, account: str | None = None, **options: Any
    ) -> AsyncIterator[SimulatedPhone]:
        """Start a new phone that is registered with the profile of ``line``."""
        async with self.in_service(self.phone(**options), line, account) as phone:
            yield phone

    @asynccontextmanager
    async def in_service(
        self, phone: SimulatedPhone, line: str, account: str | None = None
    ) -> AsyncIterator[SimulatedPhone]:
        """Start a phone that is registered with the profile of ``line``."""
        profile = await self.profile(line, account)
        first = await self.site.switch(profile, phone.mac)
        async with phone:
            await phone.wait_for_config(first["sha256"], PATIENCE)
            await phone.wait_for_registration(PATIENCE)
            await until(lambda: self.site.deployment(first["deployment"]), lambda found: found["ended_at"])
            yield phone

    async def switch(self, mac: Mac, line: str, wait: int = 30, account: str | None = None, **policy: Any) -> Any:
        """Switch a phone and return the deployment once it has ended, or after ``wait`` seconds."""
        body = {"profile_uuid": await self.profile(line, account), "mac": str(mac), "policy": policy}
        switched = await self.site.data("POST", f"{SWITCH}?wait={wait}", body)
        return await self.site.deployment(switched["deployment"])

    async def ended(self, deployment: Any) -> Any:
        """Wait until a deployment has ended, and return it."""
        try:
            return await until(lambda: self.site.deployment(deployment["uuid"]), lambda found: found["ended_at"])
        except TimeoutError:
            raise AssertionError(brief(await self.site.deployment(deployment["uuid"]))) from None

    async def served(self, mac: Mac) -> bytes:
        return (self.site.root / mac.config_name).read_bytes()


@asynccontextmanager
async def open_asterisk_site(
    directory: Path,
    server: AsteriskServer,
    /,
    *,
    methods: list[str],
    account: str = USERNAME,
    limits: Limits = DEFAULT_LIMITS,
    transport: str = UDP,
    expires: int = 120,
    wait_for_asterisk: bool = True,
    **sections: dict[str, Any],
) -> AsyncIterator[AsteriskSite]:
    """Start an appliance that uses ``methods`` and, once it is connected, return the site."""
    connection = {
        "host": "127.0.0.1",
        "port": server.ports.ami,
        "username": account,
        "secret": SECRET,
        "channel": server.channel,
    }
    tables = {"restart": {"sip": methods}, **sections}
    tables["asterisk"] = connection | tables.get("asterisk", {})
    async with open_site(settings_for(directory, **tables), limits) as site:
        if wait_for_asterisk:
            await until(lambda: site.data("GET", "/health"), lambda found: found["asterisk"] in {"ok", "degraded"})
        yield AsteriskSite(site, server, transport, expires)
