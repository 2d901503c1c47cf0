"""The network endpoints of a running phone: web server, SIP server and registration."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

from lxml import etree
from yarl import URL

from cisisk.model.mac import Mac
from cisisk.simulator import notify, registration
from cisisk.simulator.authentication import is_authorised
from cisisk.simulator.call import OutgoingCall
from cisisk.simulator.faults import Faults
from cisisk.simulator.line_client import LineRequestFailed, OpenWay, PhoneIdentity
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.notify import NotifyAnswer, NotifyOrder
from cisisk.simulator.running_config import LineAtProxy, RunningConfig
from cisisk.simulator.screen import Execution, Screen
from cisisk.simulator.services.browser import Browser
from cisisk.simulator.sip_server import SipServer
from cisisk.simulator.timing import Timing
from cisisk.simulator.web_server import WebServer
from cisisk.sip.message import SipRequest
from cisisk.sip.transaction import Sender, SipClient

_DISABLED, _READ_ONLY = "1", "2"
"""Values of ``webAccess``."""
_DEFAULT_SIP_PORT = 5060
"""Port of the contact of a phone without a SIP server."""


class EndpointPhone(Protocol):
    """The interface of the phone that its endpoints use."""

    @property
    def mac(self) -> Mac:
        """Return the MAC address."""

    @property
    def model(self) -> PhoneModel:
        """Return the model."""

    @property
    def address(self) -> str:
        """Return the numeric IP address."""

    @property
    def load(self) -> str:
        """Return the running firmware."""

    @property
    def running_config(self) -> RunningConfig | None:
        """Return the running config, or None before the first one."""

    @property
    def in_call(self) -> bool:
        """Return whether the phone is in a call."""

    async def is_out_of_sync(self) -> bool:
        """Return whether ``check-sync`` requires a restart."""

    def restart(self, cause: str) -> None:
        """Restart; ``cause`` is for the record."""

    def end_call(self) -> None:
        """Note that the other end has hung up."""


class PhoneEndpoints:
    """The endpoints of one phone.

    ``webAccess`` 1 disables the web server; 2 refuses only ``/CGI/Execute`` (403).

    Args:
        device: the phone.
        browser: its browser of XML services.
        web_port: port of the web server; 0 picks a free one and keeps it.
        sip_port: port of the SIP server, from which the phone registers; None disables it.
        sip_proxy: address and port to register at, in place of the config's call manager.
        on_registration: called with None after a registration, and with the reason when it fails or is lost.
    """

    def __init__(
        self,
        device: EndpointPhone,
        browser: Browser,
        *,
        web_port: int,
        sip_port: int | None,
        sip_proxy: tuple[str, int] | None,
        timing: Timing,
        faults: Faults,
        on_registration: Callable[[str | None], None],
    ) -> None:
        self._device = device
        self._browser = browser
        self._screen = Screen(device.model)
        self._web_port = web_port
        self._sip_port = sip_port
        self._sip_proxy = sip_proxy
        self._timing = timing
        self._faults = faults
        self._on_registration = on_registration
        self._call_id = ""
        self._last = ""
        self._open_way: OpenWay | None = None
        self._call: OutgoingCall | None = None

    @property
    def web_url(self) -> str:
        """Return the base URL of the web server, without a trailing slash."""
        return str(URL.build(scheme="http", host=self._device.address, port=self._web_port).origin())

    @asynccontextmanager
    async def open(self, call_id: str, last: str) -> AsyncIterator[None]:
        """Listen and register as far as config and faults allow. The context does not wait for the registration.

        Args:
            call_id: Call-ID of the registration.
            last: cause of the last restart, as in :class:`PhoneIdentity`.

        Raises:
            OSError: the address or a port is not available.
        """
        self._call_id, self._last, self._call = call_id, last, None
        async with self._web_server(), self._sip(), self._registered():
            try:
                yield
            finally:
                self._call = None

    def reset(self) -> None:
        """Clear the screen, as at each restart."""
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
    async def _sip(self) -> AsyncIterator[None]:
        """Listen for SIP requests; without a port only send them."""
        async with AsyncExitStack() as stack:
            if self._sip_port is None:
                client = await stack.enter_async_context(SipClient())
                sender = Sender(address=self._device.address, port=_DEFAULT_SIP_PORT)
                self._open_way = partial(client.way, sender=sender)
            else:
                server = SipServer(self, address=self._device.address, port=self._sip_port)
                self._open_way = (await stack.enter_async_context(server)).open_way
            try:
                yield
            finally:
                self._open_way = None

    @asynccontextmanager
    async def _registered(self) -> AsyncIterator[None]:
        line = self._line()
        if line is None or self._open_way is None or self._faults.never_register:
            yield
            return
        async with registration.keep_registered(
            line, self._identity(), self._open_way, self._timing, self._on_registration
        ):
            yield

    def _line(self) -> LineAtProxy | None:
        """Return the first line where it registers; None if the phone may not register there."""
        running = self._device.running_config
        line = running.registers if running is not None else None
        if line is not None and self._sip_proxy is not None:
            host, port = self._sip_proxy
            return replace(line, host=host, port=port)
        return line if line is not None and registration.is_on_loopback(line) else None

    def _identity(self) -> PhoneIdentity:
        device = self._device
        return PhoneIdentity(
            address=device.address,
            sip_port=self._sip_port or _DEFAULT_SIP_PORT,
            device_name=device.mac.device_name,
            product=device.model.product,
            load=device.load,
            call_id=self._call_id,
            last=self._last,
        )

    async def dial(self, number: str) -> None:
        """Call ``number`` from the first line; return when it is answered.

        Raises:
            LineRequestFailed: the line has no call manager, or the call failed.
        """
        line = self._line()
        if line is None or self._open_way is None:
            raise LineRequestFailed("the phone is offline, or the line has no call manager")
        call = OutgoingCall(line, self._identity(), self._open_way)
        await call.begin(number, self._timing.registration)
        self._call = call

    async def hang_up(self) -> None:
        """End the call, if there is one. Raises LineRequestFailed."""
        call, self._call = self._call, None
        if call is not None:
            await call.end(self._timing.registration)

    # sip_server.NotifiedPhone

    def answer(self, request: SipRequest) -> NotifyAnswer:
        """Return the response to ``request``: a NOTIFY, or the BYE of a call."""
        if request.method == "BYE":
            return NotifyAnswer(200 if self._ends_call(request) else 481)
        running = self._device.running_config
        users = {running.line, running.contact} - {""} if running is not None else set()
        has_call_manager = running is not None and running.has_call_manager
        return notify.answer(request, users=users, call_id=self._call_id if has_call_manager else None)

    def _ends_call(self, request: SipRequest) -> bool:
        if self._call is None or request.all("Call-ID") != [self._call.call_id]:
            return False
        self._call = None
        self._device.end_call()
        return True

    async def perform(self, order: NotifyOrder) -> None:
        """Perform ``order``; called after the response was sent."""
        if order is not NotifyOrder.CHECK_SYNC or await self._device.is_out_of_sync():
            self.restart(f"SIP {order}")

    # web_server.WebServerPhone

    @property
    def is_read_only(self) -> bool:
        """Return whether ``webAccess`` is read only."""
        running = self._device.running_config
        return running is not None and running.web_access == _READ_ONLY

    async def authorises(self, user: str, password: str) -> bool:
        """Return whether ``authenticationURL`` of the running config authorises these credentials."""
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
        """Execute the items of one request; the caller restarts the phone after its response."""
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
        """Restart the phone; called after the response was sent."""
        self._device.restart(cause)

    def information(self) -> bytes:
        """Return the XML of ``/DeviceInformationX``."""
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
