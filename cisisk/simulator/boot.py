"""What a phone asks for when it starts, in which order and over what.

Source: docs/phone-protocol/boot.md#request-order, docs/phone-protocol/boot.md#simulated-boot
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from yarl import URL

from cisisk.model.mac import Mac
from cisisk.simulator import http_client, tftp_client
from cisisk.simulator.http_client import Unanswered
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.running_config import RunningConfig
from cisisk.simulator.tftp_download import MAX_FILE_BYTES, FileAbsent, TransferFailed
from cisisk.simulator.timing import Timing

DEFAULT_CONFIG = "XMLDefault.cnf.xml"
"""Asked for when the server has no config for this phone."""


class Via(StrEnum):
    """The protocol of one request."""

    HTTP = "http"
    TFTP = "tftp"


class FetchAnswer(StrEnum):
    """What came of one request."""

    RECEIVED = "received"
    ABSENT = "absent"
    """TFTP error 1, HTTP 404."""
    REFUSED = "refused"
    """Nobody listens on the HTTP port."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchAttempt:
    """One request and its answer.

    Attributes:
        size: bytes received.
        reason: why it failed.
    """

    name: str
    via: Via
    answer: FetchAnswer
    size: int = 0
    reason: str = ""


class BootOutcome(StrEnum):
    """How a boot ended."""

    CONFIGURED = "configured"
    """The phone runs the config it received, be it the old one again."""
    XML_ERROR = "xml error"
    """The config was unreadable: the phone stays on what it had."""
    NO_CONFIG = "no config"
    """The server has none, nor a default: the phone stays on what it had."""
    UPGRADED = "upgraded"
    """New firmware arrived: the phone restarts at once to run it."""
    NOT_ASKED = "asked for nothing"
    """A fault: the phone stays on what it had."""
    TRANSFER_FAILED = "transfer failed"
    """A trust list or the config did not arrive: the phone boots again after a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRecord:
    """One boot.

    Attributes:
        asked: every request, in order.
        config_name: the file the phone took as its config, readable or not; None if it got none.
        problem: what was wrong with the config or the server.
    """

    outcome: BootOutcome
    asked: tuple[FetchAttempt, ...] = ()
    config_name: str | None = None
    problem: str = ""

    @property
    def names(self) -> list[str]:
        """What was asked for, in order, without the protocol's repetitions."""
        return list(dict.fromkeys(request.name for request in self.asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """Where a phone sits, and whom it asks.

    Attributes:
        address: the phone's own, numeric.
        source_port: UDP port of every TFTP request; 0 is any.
        server: numeric address of the provisioning server.
        tftp_port: there.
        http_port: there; None for a phone that asks over TFTP only.
    """

    address: str
    source_port: int
    server: str
    tftp_port: int
    http_port: int | None


class Loader:
    """Asks for the files of one boot and keeps the record of it."""

    def __init__(
        self,
        model: PhoneModel,
        uplink: Uplink,
        timing: Timing,
        *,
        on_asked: Callable[[FetchAttempt], None],
        lose_last_ack: bool = False,
    ) -> None:
        """Nothing is asked yet. ``on_asked`` hears of every answer; ``lose_last_ack`` harms the first TFTP file."""
        self.asked: list[FetchAttempt] = []
        self._model = model
        self._uplink = uplink
        self._timing = timing
        self._on_asked = on_asked
        self._lose_last_ack = lose_last_ack

    async def first(self, *names: str) -> tuple[str, bytes] | None:
        """The first of ``names`` that the server has, and its content.

        Raises:
            TransferFailed: one of them is neither there nor known to be absent.
        """
        for name in names:
            content = await self.file(name)
            if content is not None:
                return name, content
        return None

    async def optional(self, name: str) -> bytes | None:
        """The content of ``name``, or None: the phone does without."""
        try:
            return await self.file(name)
        except TransferFailed:
            return None

    async def file(self, name: str) -> bytes | None:
        """The content of ``name``, None if the server has none. Whatever HTTP does not give is asked for by TFTP.

        Raises:
            TransferFailed: no answer, or a broken one.
        """
        content = await self._over_http(name)
        return content if content is not None else await self._over_tftp(name)

    async def _over_http(self, name: str) -> bytes | None:
        port = self._uplink.http_port
        if port is None:
            return None
        url = URL.build(scheme="http", host=self._uplink.server, port=port, path=f"/{name.lstrip('/')}")
        try:
            status, body = await http_client.get(
                url,
                model_name=self._model.product,
                address=self._uplink.address,
                within=self._timing.http,
                max_bytes=MAX_FILE_BYTES,
            )
        except Unanswered as failure:
            answer = FetchAnswer.REFUSED if failure.refused else FetchAnswer.FAILED
            self._record(FetchAttempt(name=name, via=Via.HTTP, answer=answer, reason=str(failure)))
            return None
        if not 200 <= status < 300:
            answer = FetchAnswer.ABSENT if status == 404 else FetchAnswer.FAILED
            self._record(FetchAttempt(name=name, via=Via.HTTP, answer=answer, reason=f"status {status}"))
            return None
        self._record(FetchAttempt(name=name, via=Via.HTTP, answer=FetchAnswer.RECEIVED, size=len(body)))
        return body

    async def _over_tftp(self, name: str) -> bytes | None:
        try:
            content = await tftp_client.fetch(
                name,
                server=(self._uplink.server, self._uplink.tftp_port),
                local=(self._uplink.address, self._uplink.source_port),
                patience=self._timing.tftp,
                lose_last_ack=self._lose_last_ack,
            )
        except FileAbsent as absence:
            self._record(FetchAttempt(name=name, via=Via.TFTP, answer=FetchAnswer.ABSENT, reason=str(absence)))
            return None
        except TransferFailed as failure:
            self._record(FetchAttempt(name=name, via=Via.TFTP, answer=FetchAnswer.FAILED, reason=str(failure)))
            raise
        self._lose_last_ack = False
        self._record(FetchAttempt(name=name, via=Via.TFTP, answer=FetchAnswer.RECEIVED, size=len(content)))
        return content

    def _record(self, asked: FetchAttempt) -> None:
        self.asked.append(asked)
        self._on_asked(asked)


async def load_config(loader: Loader, model: PhoneModel, mac: Mac) -> tuple[str, bytes] | None:
    """Ask for the trust lists, then for the config: its name and content, None if the server has not even a default.

    Raises:
        TransferFailed: the server is silent; the phone can only boot again.
    """
    for group in model.trust_lists:
        await loader.first(*(name.format(mac=mac.digits) for name in group))
    return await loader.first(mac.config_name, DEFAULT_CONFIG)


async def load_firmware(loader: Loader, config: RunningConfig, current_load: str) -> bool:
    """Ask for the firmware the config names if it is another. Whether it came; if not, the phone keeps its image."""
    if config.load in {"", current_load}:
        return False
    return await loader.optional(f"{config.load}.loads") is not None


async def load_extras(loader: Loader, config: RunningConfig, model: PhoneModel) -> None:
    """Ask for what else the config names; the phone does without what is not there."""
    names = [] if config.user_locale is None else [f"{config.user_locale}/{model.dictionary}"]
    names += [] if config.network_locale is None else [f"{config.network_locale}/{model.tones}"]
    for name in (*names, *config.extra_files):
        await loader.optional(name)
