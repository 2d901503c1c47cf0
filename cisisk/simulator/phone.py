"""A Cisco desk phone in software: the life of it, from boot to boot."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, Self

from cisisk.model.mac import Mac
from cisisk.simulator import boot, phone_xml
from cisisk.simulator.boot import BootOutcome, BootRecord, FetchAttempt, Loader, Uplink
from cisisk.simulator.conversation import SipConversation
from cisisk.simulator.faults import NO_FAULTS, Faults
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.phone_xml import XmlError
from cisisk.simulator.running_config import RunningConfig
from cisisk.simulator.services.browser import Browser
from cisisk.simulator.tftp_download import TransferFailed
from cisisk.simulator.timing import Timing

_FIRST_SIP_IMAGE = "P0S3"
"""Begins the SIP loads of a 7940 or 7960: the only ones that do anything about ``check-sync``."""
_SYNC = "1"
"""The number of such a phone, as its default config has it."""
_PLUGGED_IN = "initialized"
_ALARMS = {
    "sip restart": "reset-restart",
    "restart": "reset-restart",
    "sip reset": "reset-reset",
    "reset": "reset-reset",
}
"""What the alarm of its next REGISTER says (``Last=``), by the cause of a restart; any other is the user's doing."""
_MAX_BOOTS = 1000
"""Boots remembered: a phone that boots in circles against a silent server must not fill the memory."""


class PhoneState(StrEnum):
    """What a phone is doing."""

    OFF = "off"
    BOOTING = "booting"
    RUNNING = "running"
    """Its web server listens, unless the config or a fault forbids it."""
    RESTARTING = "restarting"
    """Offline, between two boots."""


class SimulatedPhone:
    """One phone. It lives while its context is open, or between :meth:`start` and :meth:`stop`.

    What a phone keeps in flash outlives that: config, firmware.

    Attributes:
        mac: its own.
        model: how it behaves.
        address: its own, numeric.
        load: the firmware it runs.
        state: what it is doing.
        runs: how often it has reached the running state.
        boots: the record of its boots, the newest last.
        config: the content of the config it runs, None before it first got one.
        call_id: of the REGISTER of its first line; another one after each start.
        browser: what it shows of XML services.
        is_registered: whether a call manager on the loopback network has taken that.
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
        source_port: int | None = None,
        timing: Timing | None = None,
        faults: Faults = NO_FAULTS,
        on_event: Callable[["SimulatedPhone", str], None] | None = None,
    ) -> None:
        """Nothing happens yet.

        Args:
            mac: what it calls itself by.
            model: how it behaves.
            address: its own numeric IP address; every phone may have its own loopback address.
            server: numeric address of the provisioning server.
            tftp_port: there.
            http_port: there; asked only by a model that does.
            web_port: where its own web server listens; 0 is any, which then stays the same.
            sip_port: where it takes SIP over UDP and TCP; None for a phone that speaks none.
            source_port: of its TFTP requests, 0 is any; None is the model's own.
            timing: a real phone's if None.
            faults: what is wrong with it.
            on_event: hears what the phone does, in words without secrets; must return at once and never raise.
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
        self._last = _PLUGGED_IN
        self._uplink = Uplink(
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
        self.browser: Final = Browser(self, self._timing, on_change=self._turned)
        self._conversation = SipConversation(
            self,
            self.browser,
            web_port=web_port,
            sip_port=sip_port,
            timing=self._timing,
            faults=faults,
            on_registration=self._registers,
        )
        self._restart_wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._cause_of_death: BaseException | None = None

    @property
    def device_name(self) -> str:
        """``SEP`` and the MAC address."""
        return self.mac.device_name

    @property
    def config_sha256(self) -> str | None:
        """Hexadecimal hash of the config it runs."""
        return None if self.config is None else hashlib.sha256(self.config).hexdigest()

    @property
    def web_url(self) -> str:
        """Where its web server is when it listens, without a slash at the end."""
        return self._conversation.web_url

    @property
    def open_page(self) -> str | None:
        """URL of the XML service's page that is on its screen."""
        return self.browser.url

    @open_page.setter
    def open_page(self, url: str | None) -> None:
        """Be where a person has gone who opened ``url``, without loading it; None closes the window."""
        if url is None:
            self.browser.close()
        else:
            self.browser.url = url

    @property
    def in_call(self) -> bool:
        """Whether somebody is talking. A restart waits for the end; key presses that restart fail silently."""
        return self._in_call

    @in_call.setter
    def in_call(self, in_call: bool) -> None:
        self._in_call = in_call
        if not in_call and self._deferred is not None:
            cause, self._deferred = self._deferred, None
            self.restart(cause)

    async def __aenter__(self) -> Self:
        """Power on."""
        self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Power off."""
        await self.stop()

    def start(self) -> None:
        """Power on: boot, run, and restart when told, in a task of its own.

        Raises:
            RuntimeError: it is on already.
        """
        if self._life is not None:
            raise RuntimeError(f"{self.device_name} is on already")
        self._cause_of_death = None
        self._last = _PLUGGED_IN
        self._life = asyncio.create_task(self._live(), name=f"phone {self.device_name}")
        self._life.add_done_callback(self._died)

    async def stop(self) -> None:
        """Power off, at any moment and at once.

        Raises:
            Exception: what the phone died of before, such as an OSError for a web port that was taken.
        """
        life, self._life = self._life, None
        if life is None:
            return
        life.cancel()
        await asyncio.wait([life])
        self._restart_wanted.clear()
        self._deferred = None
        self._in_call = False
        self._conversation.forget()
        self._enter(PhoneState.OFF)
        if not life.cancelled():
            life.result()

    async def boot(self) -> BootRecord:
        """Walk through one boot of a phone that is off, and leave it off. Never fails: the record says what happened.

        Raises:
            RuntimeError: the phone is on, and boots by itself.
        """
        if self._life is not None:
            raise RuntimeError(f"{self.device_name} is on and boots by itself")
        try:
            return await self._boot()
        finally:
            self._enter(PhoneState.OFF)

    def restart(self, cause: str) -> None:
        """Restart as soon as no call is up and a boot that is under way has ended. ``cause`` is for the record.

        A phone that is off stays off.
        """
        if self._life is None:
            return
        if self._in_call:
            self._deferred = cause
            self._tell(f"will restart after the call ({cause})")
            return
        self._tell(f"restarts ({cause})")
        self._last = _ALARMS.get(cause.lower(), "phone-keypad")
        self._restart_wanted.set()

    async def wait_for_config(self, sha256: str, within: float) -> None:
        """Wait until the phone runs the config with this hexadecimal hash.

        Raises:
            TimeoutError: it did not ``within`` that many seconds.
            RuntimeError: the phone died.
        """
        await self.wait_until(
            lambda: self.state is PhoneState.RUNNING and self.config_sha256 == sha256, within, f"runs config {sha256}"
        )

    async def wait_for_boot(self, number: int, within: float) -> None:
        """Wait until the phone runs for at least the ``number``-th time: its boots that led nowhere do not count.

        Raises:
            TimeoutError: it did not ``within`` that many seconds.
            RuntimeError: the phone died.
        """
        await self.wait_until(
            lambda: self.state is PhoneState.RUNNING and self.runs >= number, within, f"has booted {number} times"
        )

    async def wait_for_registration(self, within: float) -> None:
        """Wait until a call manager has taken the registration of its first line.

        Raises:
            TimeoutError: none did ``within`` that many seconds.
            RuntimeError: the phone died.
        """
        await self.wait_until(lambda: self.is_registered, within, "is registered")

    async def wait_until(self, condition: Callable[[], bool], within: float | None, what: str) -> None:
        """Wait until ``condition`` of this phone is met, looking at every change; ``what`` it means, for the error.

        Raises:
            TimeoutError: it was not ``within`` that many seconds; None is for ever.
            RuntimeError: the phone died.
        """
        try:
            async with asyncio.timeout(within):
                while not condition():
                    if self._cause_of_death is not None:
                        raise RuntimeError(f"{self.device_name} has died") from self._cause_of_death
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"not within {within} s: {self.device_name} {what}; "
                f"it is {self.state}, has run {self.runs} times, config {self.config_sha256}"
            ) from None

    async def _live(self) -> None:
        await self._boot_until_up(asks=True)
        while True:
            self.call_id = f"{secrets.token_hex(4)}-{secrets.token_hex(8)}@{self.address}"
            async with self._conversation.held(self.call_id, self._last):
                self.runs += 1
                self._enter(PhoneState.RUNNING)
                await self._restart_wanted.wait()
            self._restart_wanted.clear()
            self._conversation.forget()
            self._enter(PhoneState.RESTARTING)
            await asyncio.sleep(self._timing.offline)
            await self._boot_until_up(asks=not self._faults.never_fetch)

    async def _boot_until_up(self, *, asks: bool) -> None:
        if not asks:
            self._ended(BootRecord(outcome=BootOutcome.NOT_ASKED))
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
        self._enter(PhoneState.BOOTING)
        loader = Loader(
            self.model,
            self._uplink,
            self._timing,
            on_asked=self._heard,
            lose_last_ack=self._faults.lose_last_ack and not self.boots,
        )
        outcome, config_name, problem = BootOutcome.NO_CONFIG, None, ""
        try:
            found = await boot.load_config(loader, self.model, self.mac)
            if found is not None:
                config_name = found[0]
                outcome = await self._apply(loader, *found)
        except TransferFailed as failure:
            outcome, problem = BootOutcome.TRANSFER_FAILED, str(failure)
        except XmlError as failure:
            outcome, problem = BootOutcome.XML_ERROR, str(failure)
        return self._ended(
            BootRecord(outcome=outcome, asked=tuple(loader.asked), config_name=config_name, problem=problem)
        )

    async def _apply(self, loader: Loader, name: str, content: bytes) -> BootOutcome:
        """Take ``content`` as the config, and get what it names. Raises XmlError: the phone stays on what it had."""
        config = RunningConfig.read(content, root="Default" if name == boot.DEFAULT_CONFIG else "device")
        self.config, self._running = content, config
        if await boot.load_firmware(loader, config, self.load):
            self.load = config.load
            return BootOutcome.UPGRADED
        await boot.load_extras(loader, config, self.model)
        return BootOutcome.CONFIGURED

    # What its browser and its conversation ask of it (browser.Device, conversation.Device)

    @property
    def is_running(self) -> bool:
        """Whether there is anything on its screen."""
        return self.state is PhoneState.RUNNING

    @property
    def running_config(self) -> RunningConfig | None:
        """What it runs, None before it first got a config."""
        return self._running

    def carry_out(self, urls: Sequence[str]) -> None:
        """Execute what a service has answered with instead of a page."""
        execution = self._conversation.execute(urls)
        if execution.restart is not None:
            self.restart(execution.restart)

    async def is_out_of_sync(self) -> bool:
        """Whether its firmware does anything about ``check-sync``, and its server wants it to restart."""
        if not self.load.startswith(_FIRST_SIP_IMAGE):
            return False
        loader = Loader(self.model, self._uplink, self._timing, on_asked=self._heard)
        content = await loader.optional("syncinfo.xml")
        try:
            image = phone_xml.parse(content, "SYNCINFO").find("IMAGE") if content is not None else None
        except XmlError:
            return False
        return image is not None and image.get("SYNC", _SYNC) != _SYNC

    def _registers(self, problem: str | None) -> None:
        self.is_registered = problem is None
        self._tell("is registered" if problem is None else f"is not registered: {problem}")
        self._announce()

    def _turned(self, text: str) -> None:
        self._tell(text)
        self._announce()

    def _ended(self, ended: BootRecord) -> BootRecord:
        self.boots.append(ended)
        del self.boots[:-_MAX_BOOTS]
        self._tell(f"boot: {ended.outcome}" + (f" ({ended.problem})" if ended.problem else ""))
        self._announce()
        return ended

    def _heard(self, asked: FetchAttempt) -> None:
        self._tell(f"{asked.via} {asked.name}: {asked.answer}" + (f" ({asked.reason})" if asked.reason else ""))

    def _died(self, life: asyncio.Task[None]) -> None:
        if not life.cancelled():
            self._cause_of_death = life.exception()
            self._tell(f"died: {self._cause_of_death}")
        self._announce()

    def _enter(self, state: PhoneState) -> None:
        self.state = state
        self._tell(state)
        self._announce()

    def _tell(self, text: str) -> None:
        if self._on_event is not None:
            self._on_event(self, text)

    def _announce(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()
