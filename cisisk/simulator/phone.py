"""A Cisco desk phone in software: power, boots and restarts."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Self

from cisisk.model.mac import Mac
from cisisk.simulator import boot, phone_xml
from cisisk.simulator.boot import BootNetwork, BootOutcome, BootRecord, FetchAttempt, Loader
from cisisk.simulator.endpoints import PhoneEndpoints
from cisisk.simulator.faults import NO_FAULTS, Faults
from cisisk.simulator.flat_config import read_flat
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.phone_xml import XmlError
from cisisk.simulator.running_config import RunningConfig
from cisisk.simulator.services.browser import Browser
from cisisk.simulator.tftp_download import TransferFailed
from cisisk.simulator.timing import Timing

_FIRST_SIP_IMAGE = "P0S3"
"""Prefix of the SIP loads of a 7940 or 7960: only these act on ``check-sync``, and read flat configs."""
_SYNC = "1"
"""The sync number of such a phone in its default config."""
_POWER_ON = "initialized"
_ALARMS = {
    "sip restart": "reset-restart",
    "restart": "reset-restart",
    "sip reset": "reset-reset",
    "reset": "reset-reset",
}
"""``Last=`` in the alarm of the next REGISTER, by the cause of the restart; other causes are ``phone-keypad``."""
_MAX_BOOTS = 1000
"""Boot records kept: limits the memory of a phone that boots again and again without a server."""


class PhoneState(StrEnum):
    """The state of a phone."""

    OFF = "off"
    BOOTING = "booting"
    RUNNING = "running"
    """The web server listens, unless the config or a fault disables it."""
    RESTARTING = "restarting"
    """Offline, between two boots."""


class SimulatedPhone:
    """One phone. It is on while its context is open, or between :meth:`start` and :meth:`stop`.

    Config and firmware are kept while the phone is off, as in flash memory.

    Attributes:
        mac: MAC address.
        model: model.
        address: numeric IP address.
        load: running firmware.
        state: current state.
        runs: how often the phone has reached the running state.
        boots: boot records, the newest last.
        config: content of the running config; None before the first one.
        call_id: Call-ID of the first line's REGISTER requests; a new one after each restart.
        browser: browser of XML services.
        is_registered: the first line is registered with its call manager.
    """

    def __init__(
        self,
        mac: Mac,
        model: PhoneModel,
        *,
        address: str,
        server: str,
        tftp_port: int = 69,
        http_port: int = 6970,
        web_port: int = 80,
        sip_port: int | None = None,
        sip_proxy: tuple[str, int] | None = None,
        source_port: int | None = None,
        timing: Timing | None = None,
        faults: Faults = NO_FAULTS,
        on_event: Callable[["SimulatedPhone", str], None] | None = None,
    ) -> None:
        """Create a phone that is off.

        Args:
            mac: MAC address.
            model: model.
            address: numeric IP address; every phone may have its own loopback address.
            server: numeric IP address of the provisioning server.
            tftp_port: the server's TFTP port.
            http_port: the server's HTTP port, for models that try HTTP first.
            web_port: port of the phone's web server; 0 picks a free one and keeps it.
            sip_port: port of the phone's SIP server over UDP and TCP, from which it registers; None disables it.
            sip_proxy: address and port to register at, in place of the config's call manager. Without it the phone
                registers on the loopback network only.
            source_port: UDP port of TFTP requests; 0 is any, None is that of the model.
            timing: timeouts and delays; None is those of a real phone.
            faults: faults of the phone.
            on_event: called with a text without secrets for each event; must not block or raise.
        """
        self.mac: Final = mac
        self.model: Final = model
        self.address: Final = address
        self.load = model.load
        self.state = PhoneState.OFF
        self.runs = 0
        self.boots: list[BootRecord] = []
        self.config: bytes | None = None
        self.call_id = ""
        self.is_registered = False
        self._last = _POWER_ON
        self._network = BootNetwork(
            address=address,
            source_port=model.source_port if source_port is None else source_port,
            server=server,
            tftp_port=tftp_port,
            http_port=http_port if model.http_first else None,
        )
        self._timing = timing or Timing()
        self._faults = faults
        self._on_event = on_event
        self._running: RunningConfig | None = None
        self._in_call = False
        self._deferred: str | None = None
        self.browser: Final = Browser(self, self._timing, on_change=self._page_changed)
        self._endpoints = PhoneEndpoints(
            self,
            self.browser,
            web_port=web_port,
            sip_port=sip_port,
            sip_proxy=sip_proxy,
            timing=self._timing,
            faults=faults,
            on_registration=self._registration_changed,
        )
        self._restart_wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    @property
    def device_name(self) -> str:
        """``SEP`` and the MAC address."""
        return self.mac.device_name

    @property
    def config_sha256(self) -> str | None:
        """Return the SHA-256 of the running config in hexadecimal."""
        return None if self.config is None else hashlib.sha256(self.config).hexdigest()

    @property
    def web_url(self) -> str:
        """Return the base URL of the web server, without a trailing slash."""
        return self._endpoints.web_url

    @property
    def open_page(self) -> str | None:
        """Return the URL of the XML service page on the screen."""
        return self.browser.url

    @open_page.setter
    def open_page(self, url: str | None) -> None:
        """Set the URL of the page on the screen without loading it; None closes the window."""
        if url is None:
            self.browser.close()
        else:
            self.browser.url = url

    @property
    def in_call(self) -> bool:
        """Return whether the phone is in a call. A restart waits for its end; restart keys fail silently."""
        return self._in_call

    @in_call.setter
    def in_call(self, in_call: bool) -> None:
        self._in_call = in_call
        self._wake_waiters()
        if not in_call and self._deferred is not None:
            cause, self._deferred = self._deferred, None
            self.restart(cause)

    async def dial(self, number: str) -> None:
        """Call ``number`` at the call manager of the first line; return when it is answered.

        Raises:
            LineRequestFailed: the phone is not registered, or the call failed.
        """
        self.in_call = True
        try:
            await self._endpoints.dial(number)
        except BaseException:
            self.in_call = False
            raise

    async def hang_up(self) -> None:
        """End the call. Raises LineRequestFailed if the call manager does not answer."""
        try:
            await self._endpoints.hang_up()
        finally:
            self.in_call = False

    async def __aenter__(self) -> Self:
        """Power on."""
        self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Power off."""
        await self.stop()

    def start(self) -> None:
        """Power on: boot, run and restart on request, in a background task.

        Raises:
            RuntimeError: the phone is already on.
        """
        if self._task is not None:
            raise RuntimeError(f"{self.device_name} is already on")
        self._error = None
        self._last = _POWER_ON
        self._task = asyncio.create_task(self._run(), name=f"phone {self.device_name}")
        self._task.add_done_callback(self._finished)

    async def stop(self) -> None:
        """Power off immediately, in any state.

        Raises:
            Exception: the phone had failed, for example an OSError for a web port that is in use.
        """
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        self._restart_wanted.clear()
        self._deferred = None
        self._in_call = False
        self._endpoints.reset()
        self._set_state(PhoneState.OFF)
        if not task.cancelled():
            task.result()

    async def boot(self) -> BootRecord:
        """Perform one boot of a phone that is off, and return its record. Failures are part of the record.

        Raises:
            RuntimeError: the phone is on.
        """
        if self._task is not None:
            raise RuntimeError(f"{self.device_name} is already on")
        try:
            return await self._boot()
        finally:
            self._set_state(PhoneState.OFF)

    def restart(self, cause: str) -> None:
        """Restart after the current call and the current boot. ``cause`` is for the record.

        A phone that is off stays off.
        """
        if self._task is None:
            return
        if self._in_call:
            self._deferred = cause
            self._emit(f"restart deferred until the call ends ({cause})")
            return
        self._emit(f"restart ({cause})")
        self._last = _ALARMS.get(cause.lower(), "phone-keypad")
        self._restart_wanted.set()

    async def wait_for_config(self, sha256: str, within: float) -> None:
        """Wait until the phone runs the config with this hexadecimal hash.

        Raises:
            TimeoutError: it did not ``within`` that many seconds.
            RuntimeError: the phone has failed.
        """
        await self.wait_until(
            lambda: self.state is PhoneState.RUNNING and self.config_sha256 == sha256, within, f"runs config {sha256}"
        )

    async def wait_for_boot(self, number: int, within: float) -> None:
        """Wait until the phone runs for at least the ``number``-th time. Failed boots do not count.

        Raises:
            TimeoutError: it did not ``within`` that many seconds.
            RuntimeError: the phone has failed.
        """
        await self.wait_until(
            lambda: self.state is PhoneState.RUNNING and self.runs >= number, within, f"has booted {number} times"
        )

    async def wait_for_registration(self, within: float) -> None:
        """Wait until the first line is registered.

        Raises:
            TimeoutError: it was not ``within`` that many seconds.
            RuntimeError: the phone has failed.
        """
        await self.wait_until(lambda: self.is_registered, within, "is registered")

    async def wait_until(self, condition: Callable[[], bool], within: float | None, what: str) -> None:
        """Wait until ``condition`` is true; it is evaluated after every change of the phone.

        Args:
            condition: a condition of this phone.
            within: seconds; None waits without limit.
            what: description of the condition for the error message.

        Raises:
            TimeoutError: the condition was not true in time.
            RuntimeError: the phone has failed.
        """
        try:
            async with asyncio.timeout(within):
                while not condition():
                    if self._error is not None:
                        raise RuntimeError(f"{self.device_name} has failed") from self._error
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"timeout after {within} s: {self.device_name} {what}; "
                f"state={self.state} runs={self.runs} config={self.config_sha256}"
            ) from None

    async def _run(self) -> None:
        await self._boot_until_up(fetches=True)
        while True:
            self.call_id = f"{secrets.token_hex(4)}-{secrets.token_hex(8)}@{self.address}"
            async with self._endpoints.open(self.call_id, self._last):
                self.runs += 1
                self._set_state(PhoneState.RUNNING)
                await self._restart_wanted.wait()
            self._restart_wanted.clear()
            self._endpoints.reset()
            self._set_state(PhoneState.RESTARTING)
            await asyncio.sleep(self._timing.offline)
            await self._boot_until_up(fetches=not self._faults.never_fetch)

    async def _boot_until_up(self, *, fetches: bool) -> None:
        if not fetches:
            self._record_boot(BootRecord(outcome=BootOutcome.NO_FETCH))
            return
        while True:
            outcome = (await self._boot()).outcome
            if outcome is BootOutcome.TRANSFER_FAILED:
                await asyncio.sleep(self._timing.boot_pause)
            elif outcome is BootOutcome.UPGRADED:
                await asyncio.sleep(self._timing.offline)
            else:
                return

    async def _boot(self) -> BootRecord:
        self._set_state(PhoneState.BOOTING)
        loader = Loader(
            self.model,
            self._network,
            self._timing,
            on_attempt=self._report_fetch,
            lose_last_ack=self._faults.lose_last_ack and not self.boots,
        )
        outcome, config_name, problem = BootOutcome.NO_CONFIG, None, ""
        try:
            if self._reads_flat_config:
                found = await boot.load_flat_config(loader, self.mac)
            else:
                found = await boot.load_config(loader, self.model, self.mac)
            if found is not None:
                config_name = found[0]
                outcome = await self._apply(loader, *found)
        except TransferFailed as failure:
            outcome, problem = BootOutcome.TRANSFER_FAILED, str(failure)
        except XmlError as failure:
            outcome, problem = BootOutcome.XML_ERROR, str(failure)
        return self._record_boot(
            BootRecord(outcome=outcome, attempts=tuple(loader.attempts), config_name=config_name, problem=problem)
        )

    @property
    def _reads_flat_config(self) -> bool:
        return self.load.startswith(_FIRST_SIP_IMAGE)

    async def _apply(self, loader: Loader, name: str, content: bytes) -> BootOutcome:
        """Use ``content`` as the config and fetch the files it names. Raises XmlError if it is unreadable."""
        if self._reads_flat_config:
            config = read_flat(content)
        else:
            config = RunningConfig.read(content, root="Default" if name == boot.DEFAULT_CONFIG else "device")
        self.config, self._running = content, config
        if await boot.load_firmware(loader, config, self.load):
            self.load = config.load
            return BootOutcome.UPGRADED
        await boot.load_extras(loader, config, self.model)
        return BootOutcome.CONFIGURED

    # browser.BrowserPhone, endpoints.EndpointPhone

    @property
    def is_running(self) -> bool:
        """Return whether the phone is in the running state."""
        return self.state is PhoneState.RUNNING

    @property
    def running_config(self) -> RunningConfig | None:
        """Return the running config, or None before the first one."""
        return self._running

    def execute(self, urls: Sequence[str]) -> None:
        """Execute the URLs of an execute object that a service has returned."""
        execution = self._endpoints.execute(urls)
        if execution.restart is not None:
            self.restart(execution.restart)

    async def is_out_of_sync(self) -> bool:
        """Return whether the firmware acts on ``check-sync`` and ``syncinfo.xml`` requires a restart."""
        if not self._reads_flat_config:
            return False
        loader = Loader(self.model, self._network, self._timing, on_attempt=self._report_fetch)
        content = await loader.fetch_optional("syncinfo.xml")
        try:
            image = phone_xml.parse(content, "SYNCINFO").find("IMAGE") if content is not None else None
        except XmlError:
            return False
        return image is not None and image.get("SYNC", _SYNC) != _SYNC

    def end_call(self) -> None:
        """Note that the other end has hung up."""
        self.in_call = False

    def _registration_changed(self, problem: str | None) -> None:
        self.is_registered = problem is None
        self._emit("registered" if problem is None else f"not registered: {problem}")
        self._wake_waiters()

    def _page_changed(self, text: str) -> None:
        self._emit(text)
        self._wake_waiters()

    def _record_boot(self, record: BootRecord) -> BootRecord:
        self.boots.append(record)
        del self.boots[:-_MAX_BOOTS]
        self._emit(f"boot: {record.outcome}" + (f" ({record.problem})" if record.problem else ""))
        self._wake_waiters()
        return record

    def _report_fetch(self, attempt: FetchAttempt) -> None:
        reason = f" ({attempt.reason})" if attempt.reason else ""
        self._emit(f"{attempt.via} {attempt.name}: {attempt.result}{reason}")

    def _finished(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._error = task.exception()
            self._emit(f"failed: {self._error}")
        self._wake_waiters()

    def _set_state(self, state: PhoneState) -> None:
        self.state = state
        self._emit(state)
        self._wake_waiters()

    def _emit(self, text: str) -> None:
        if self._on_event is not None:
            self._on_event(self, text)

    def _wake_waiters(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
