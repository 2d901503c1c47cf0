"""What a running phone says: to whom its web server or its SIP side asks something, and to its call manager."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from lxml import etree
from yarl import URL

from cisisk.model.mac import Mac
from cisisk.simulator import notify, registration
from cisisk.simulator.authentication import is_authorised
from cisisk.simulator.faults import Faults
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.notify import NotifyAnswer, NotifyOrder
from cisisk.simulator.registration import Identity
from cisisk.simulator.running_config import RunningConfig
from cisisk.simulator.screen import Execution, Screen
from cisisk.simulator.services.browser import Browser
from cisisk.simulator.sip_server import SipServer
from cisisk.simulator.timing import Timing
from cisisk.simulator.web_server import WebServer
from cisisk.sip.message import SipRequest

_DISABLED, _READ_ONLY = "1", "2"
"""Values of ``webAccess``."""
_DEFAULT_SIP_PORT = 5060
"""What a phone's contact says that has no SIP side here."""


class SipPhone(Protocol):
    """The phone that speaks."""

    @property
    def mac(self) -> Mac:
        """What it calls itself by."""

    @property
    def model(self) -> PhoneModel:
        """How it behaves."""

    @property
    def address(self) -> str:
        """Its own, numeric."""

    @property
    def load(self) -> str:
        """The firmware it runs."""

    @property
    def running_config(self) -> RunningConfig | None:
        """What it runs, None before it first got a config."""

    @property
    def in_call(self) -> bool:
        """Whether somebody is talking."""

    async def is_out_of_sync(self) -> bool:
        """Whether it has to restart to be what its server wants."""

    def restart(self, cause: str) -> None:
        """Restart, for this ``cause``."""


class SipConversation:
    """Is held while the phone runs. ``webAccess`` 1 closes the web server, 2 refuses ``/CGI/Execute`` alone (403).

    Args:
        device: whose it is.
        browser: on its screen.
        web_port: where the web server listens; 0 is any, which then stays the same.
        sip_port: where it takes SIP; None for a phone that speaks none.
        on_registration: hears that a call manager has taken the registration (None), or why it has not.
    """

    def __init__(
        self,
        device: SipPhone,
        browser: Browser,
        *,
        web_port: int,
        sip_port: int | None,
        timing: Timing,
        faults: Faults,
        on_registration: Callable[[str | None], None],
    ) -> None:
        self._device = device
        self._browser = browser
        self._screen = Screen(device.model)
        self._web_port = web_port
        self._sip_port = sip_port
        self._timing = timing
        self._faults = faults
        self._on_registration = on_registration
        self._call_id = ""

    @property
    def web_url(self) -> str:
        """Where its web server is when it listens, without a slash at the end."""
        return str(URL.build(scheme="http", host=self._device.address, port=self._web_port).origin())

    @asynccontextmanager
    async def held(self, call_id: str, last: str) -> AsyncIterator[None]:
        """Listen, and be registered, as far as config and faults allow; the registration may come later.

        Args:
            call_id: of the registration.
            last: why the phone started, as in :class:`Identity`.

        Raises:
            OSError: the address or a port cannot be had.
        """
        self._call_id = call_id
        async with self._web_server(), self._sip_server(), self._registered(last):
            yield

    def forget(self) -> None:
        """Lose what is on the screen, as at each restart."""
        self._screen.power_cycle()
        self._browser.close()

    @asynccontextmanager
    async def _web_server(self) -> AsyncIterator[None]:
        running = self._device.running_config
        if self._faults.web_off or (running is not None and running.web_access == _DISABLED):
            yield
            return
        server = WebServer(self, address=self._device.address, port=self._web_port, faults=self._faults)
        async with server:
            self._web_port = server.port
            yield

    @asynccontextmanager
    async def _sip_server(self) -> AsyncIterator[None]:
        if self._sip_port is None:
            yield
            return
        async with SipServer(self, address=self._device.address, port=self._sip_port):
            yield

    @asynccontextmanager
    async def _registered(self, last: str) -> AsyncIterator[None]:
        device, running = self._device, self._device.running_config
        line = running.registers if running is not None else None
        if line is None or self._faults.never_register or not registration.is_on_loopback(line):
            yield
            return
        identity = Identity(
            address=device.address,
            sip_port=self._sip_port or _DEFAULT_SIP_PORT,
            device_name=device.mac.device_name,
            product=device.model.product,
            load=device.load,
            call_id=self._call_id,
            last=last,
        )
        async with registration.kept(line, identity, self._timing, self._on_registration):
            yield

    # What the SIP side asks (sip_server.Device)

    def judge(self, request: SipRequest) -> NotifyAnswer:
        """What the phone answers to a request, and whether it obeys."""
        running = self._device.running_config
        users = {running.line, running.contact} - {""} if running is not None else set()
        in_charge = running is not None and running.has_call_manager
        return notify.judge(request, users=users, call_id=self._call_id if in_charge else None)

    async def obey(self, order: NotifyOrder) -> None:
        """Do what was ordered, now that the answer is on its way."""
        if order is not NotifyOrder.CHECK_SYNC or await self._device.is_out_of_sync():
            self.restart(f"SIP {order}")

    # What the web server asks (web_server.Device)

    @property
    def is_read_only(self) -> bool:
        """Whether the config allows looking at its web pages only."""
        running = self._device.running_config
        return running is not None and running.web_access == _READ_ONLY

    async def authorises(self, user: str, password: str) -> bool:
        """Ask ``authenticationURL`` of the config it runs now. A blank one lets everybody; without a config, nobody."""
        running = self._device.running_config
        return running is not None and await is_authorised(
            user,
            password,
            url=running.authentication_url,
            device_name=self._device.mac.device_name,
            model_name=self._device.model.product,
            address=self._device.address,
            within=self._timing.authentication,
        )

    def execute(self, urls: Sequence[str]) -> Execution:
        """Execute the items of one request; the caller restarts the phone once it has answered."""
        model, running = self._device.model, self._device.running_config
        allows_settings = running is not None and running.settings_access == "1"
        execution = self._screen.execute(
            urls,
            init_restarts=model.accepts_init_restart and not self._faults.refuse_restart,
            keys_restart=(
                (allows_settings or not model.keys_need_settings_access)
                and not self._device.in_call
                and not self._faults.refuse_restart
            ),
        )
        if execution.closes:
            self._browser.close()
        if execution.opens is not None:
            self._browser.push(execution.opens)
        return execution

    def restart(self, cause: str) -> None:
        """Restart the phone, now that the answer is on its way."""
        self._device.restart(cause)

    def information(self) -> bytes:
        """The XML of ``/DeviceInformationX``."""
        device, running = self._device, self._device.running_config
        root = etree.Element("DeviceInformation")
        for name, value in (
            ("MACAddress", device.mac.digits),
            ("HostName", device.mac.device_name),
            ("phoneDN", running.line if running is not None else ""),
            ("appLoadID", device.load),
            ("versionID", device.load),
            ("modelNumber", device.model.product),
        ):
            etree.SubElement(root, name).text = value
        return etree.tostring(root, encoding="utf-8", xml_declaration=True)
