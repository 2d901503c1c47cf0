"""The file requests of a phone's boot: their order and protocol.

Source: docs/phone-protocol/boot.md#request-order, docs/phone-protocol/boot.md#simulated-boot
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from yarl import URL

from cisisk.model.mac import Mac
from cisisk.simulator import http_client, tftp_client
from cisisk.simulator.http_client import RequestFailed
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.running_config import RunningConfig
from cisisk.simulator.tftp_download import MAX_FILE_BYTES, FileAbsent, TransferFailed
from cisisk.simulator.timing import Timing

DEFAULT_CONFIG = "XMLDefault.cnf.xml"
"""The phone requests it when the server has no config for the phone."""


class Via(StrEnum):
    """The protocol of one request."""

    HTTP = "http"
    TFTP = "tftp"


class FetchResult(StrEnum):
    """The result of one request."""

    RECEIVED = "received"
    ABSENT = "absent"
    """TFTP error 1, HTTP 404."""
    REFUSED = "refused"
    """The HTTP port is closed."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchAttempt:
    """One request and its result.

    Attributes:
        size: bytes received.
        reason: why the request failed; empty if it did not.
    """

    name: str
    via: Via
    result: FetchResult
    size: int = 0
    reason: str = ""


class BootOutcome(StrEnum):
    """How a boot ended."""

    CONFIGURED = "configured"
    """The phone runs the config it received, which may be the one it had."""
    XML_ERROR = "xml error"
    """The config was unreadable: the phone keeps the one it had."""
    NO_CONFIG = "no config"
    """The server has no config and no default: the phone keeps the one it had."""
    UPGRADED = "upgraded"
    """New firmware arrived: the phone restarts immediately to run it."""
    NO_FETCH = "no request"
    """The fault ``never_fetch``: the phone keeps the config it had."""
    TRANSFER_FAILED = "transfer failed"
    """A trust list or the config did not arrive: the phone boots again after a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRecord:
    """One boot.

    Attributes:
        attempts: every request, in order.
        config_name: the file received as the config, readable or not; None if there was none.
        problem: the error of the config or of the server; empty if there was none.
    """

    outcome: BootOutcome
    attempts: tuple[FetchAttempt, ...] = ()
    config_name: str | None = None
    problem: str = ""

    @property
    def names(self) -> list[str]:
        """Return the requested names in order, each once."""
        return list(dict.fromkeys(attempt.name for attempt in self.attempts))


@dataclass(frozen=True, slots=True, kw_only=True)
class BootNetwork:
    """A phone's address and its provisioning server.

    Attributes:
        address: numeric IP address of the phone.
        source_port: UDP port of every TFTP request; 0 is any.
        server: numeric IP address of the provisioning server.
        tftp_port: the server's TFTP port.
        http_port: the server's HTTP port; None for a phone that uses TFTP only.
    """

    address: str
    source_port: int
    server: str
    tftp_port: int
    http_port: int | None


class Loader:
    """Fetches the files of one boot and records every attempt."""

    def __init__(
        self,
        model: PhoneModel,
        network: BootNetwork,
        timing: Timing,
        *,
        on_attempt: Callable[[FetchAttempt], None],
        lose_last_ack: bool = False,
    ) -> None:
        """Call ``on_attempt`` after each request; ``lose_last_ack`` applies to the first file received over TFTP."""
        self.attempts: list[FetchAttempt] = []
        self._model = model
        self._network = network
        self._timing = timing
        self._on_attempt = on_attempt
        self._lose_last_ack = lose_last_ack

    async def fetch_first(self, *names: str) -> tuple[str, bytes] | None:
        """Return the name and content of the first of ``names`` that the server has, or None.

        Raises:
            TransferFailed: a request got no answer or a broken one.
        """
        for name in names:
            content = await self.fetch(name)
            if content is not None:
                return name, content
        return None

    async def fetch_optional(self, name: str) -> bytes | None:
        """Return the content of ``name``, or None if it is absent or the transfer failed."""
        try:
            return await self.fetch(name)
        except TransferFailed:
            return None

    async def fetch(self, name: str) -> bytes | None:
        """Return the content of ``name``, or None if the server does not have it.

        The phone falls back to TFTP after any HTTP failure.

        Raises:
            TransferFailed: TFTP got no answer or a broken one.
        """
        content = await self._over_http(name)
        return content if content is not None else await self._over_tftp(name)

    async def _over_http(self, name: str) -> bytes | None:
        port = self._network.http_port
        if port is None:
            return None
        url = URL.build(scheme="http", host=self._network.server, port=port, path=f"/{name.lstrip('/')}")
        try:
            status, body = await http_client.get(
                url,
                model_name=self._model.product,
                address=self._network.address,
                within=self._timing.http,
                max_bytes=MAX_FILE_BYTES,
            )
        except RequestFailed as failure:
            result = FetchResult.REFUSED if failure.refused else FetchResult.FAILED
            self._record(FetchAttempt(name=name, via=Via.HTTP, result=result, reason=str(failure)))
            return None
        if not 200 <= status < 300:
            result = FetchResult.ABSENT if status == 404 else FetchResult.FAILED
            self._record(FetchAttempt(name=name, via=Via.HTTP, result=result, reason=f"status {status}"))
            return None
        self._record(FetchAttempt(name=name, via=Via.HTTP, result=FetchResult.RECEIVED, size=len(body)))
        return body

    async def _over_tftp(self, name: str) -> bytes | None:
        try:
            content = await tftp_client.fetch(
                name,
                server=(self._network.server, self._network.tftp_port),
                local=(self._network.address, self._network.source_port),
                retry=self._timing.tftp,
                lose_last_ack=self._lose_last_ack,
            )
        except FileAbsent as absence:
            self._record(FetchAttempt(name=name, via=Via.TFTP, result=FetchResult.ABSENT, reason=str(absence)))
            return None
        except TransferFailed as failure:
            self._record(FetchAttempt(name=name, via=Via.TFTP, result=FetchResult.FAILED, reason=str(failure)))
            raise
        self._lose_last_ack = False
        self._record(FetchAttempt(name=name, via=Via.TFTP, result=FetchResult.RECEIVED, size=len(content)))
        return content

    def _record(self, attempt: FetchAttempt) -> None:
        self.attempts.append(attempt)
        self._on_attempt(attempt)


async def load_config(loader: Loader, model: PhoneModel, mac: Mac) -> tuple[str, bytes] | None:
    """Fetch the trust lists, then the config. Return the config's name and content, or None if there is no default.

    Raises:
        TransferFailed: a request got no answer or a broken one; the phone boots again.
    """
    for group in model.trust_lists:
        await loader.fetch_first(*(name.format(mac=mac.digits) for name in group))
    return await loader.fetch_first(mac.config_name, DEFAULT_CONFIG)


async def load_flat_config(loader: Loader, mac: Mac) -> tuple[str, bytes] | None:
    """Fetch the config of a 7940 or 7960 with SIP firmware, as :func:`load_config` does for other phones."""
    await loader.fetch_optional("SIPDefault.cnf")
    return await loader.fetch_first(mac.flat_config_name)


async def load_firmware(loader: Loader, config: RunningConfig, current_load: str) -> bool:
    """Fetch the firmware of the config if it is not ``current_load``. Return whether new firmware arrived."""
    if config.load in {"", current_load}:
        return False
    return await loader.fetch_optional(f"{config.load}.loads") is not None


async def load_extras(loader: Loader, config: RunningConfig, model: PhoneModel) -> None:
    """Fetch the other files that the config names. The phone ignores failures."""
    names = [] if config.user_locale is None else [f"{config.user_locale}/{model.dictionary}"]
    names += [] if config.network_locale is None else [f"{config.network_locale}/{model.tones}"]
    for name in (*names, *config.extra_files):
        await loader.fetch_optional(name)
