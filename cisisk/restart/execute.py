"""POST /CGI/Execute: commands for a phone's own web server (docs/phone-protocol/restart.md#restart-over-http).

The phone asks the authenticationURL of the config it runs whether the caller's credentials are valid. If that URL leads
to Cisisk, each call carries its own credentials. They are valid once, for the phone's address, during the call.
"""

import asyncio
import errno
import hmac
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
from aiohttp import hdrs
from lxml import etree

from cisisk.config import PhoneHttpSettings
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.notice import Notice
from cisisk.model.target import NotRestarted, Target, Unreachable

MAX_ITEMS = 3
"""ExecuteItems in one call (docs/phone-protocol/restart.md#restart-over-http)."""
MAX_ANSWER_BYTES = 16 * 1024
"""An answer has some hundred bytes."""

_ERRORS = {
    "1": RestartRefusal.COMMAND_UNREADABLE,
    "2": RestartRefusal.ANSWER_UNFRAMED,
    "3": RestartRefusal.FILE_ERROR,
}
_STATUS = {"1": RestartRefusal.ITEM_UNREADABLE, "6": RestartRefusal.ITEM_UNKNOWN}


@dataclass(slots=True)
class _Call:
    """The credentials of a call, which the phone may check while the call lasts."""

    device_name: str
    username: str
    password: str = field(repr=False)
    asked: bool = False
    other_device: str | None = None


class PhoneCommands:
    """Sends commands to phones, and confirms the credentials when the phones ask."""

    def __init__(self, settings: PhoneHttpSettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._calls: dict[str, list[_Call]] = {}

    def authorise(self, address: str, username: str, password: str, device_name: str) -> bool:
        """Return whether the phone at ``address`` asks about a call of Cisisk. A second question about it gets no.

        Args:
            device_name: what the phone calls itself; empty if it does not say. If it is another phone than the called
                one, it has been given the address meanwhile. It must not be restarted.
        """
        for call in self._calls.get(address, ()):
            same = hmac.compare_digest(call.username.encode(), username.encode(errors="replace"))
            if same & hmac.compare_digest(call.password.encode(), password.encode(errors="replace")) and not call.asked:
                call.asked = True
                if device_name and device_name.upper() != call.device_name:
                    call.other_device = device_name
                return call.other_device is None
        return False

    async def execute(self, target: Target, urls: Sequence[str], *, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- bounds one exchange and is named in the error
        """Have a phone execute at most three ``urls``. Return once it has accepted each.

        Args:
            timeout: seconds for the whole call, at most the configured ones.

        Raises:
            Unreachable: the address is not known, or nothing answers there.
            NotRestarted: the phone refused.
        """
        address = target.require_address()
        seconds = min(timeout or self._settings.timeout, self._settings.timeout)
        with self._call(address, target.mac.device_name) as call:
            try:
                async with asyncio.timeout(seconds):
                    status, answer = await self._post(address, call, urls)
            except TimeoutError:
                raise Unreachable(RestartRefusal.HTTP_NO_ANSWER.notice(address=address, seconds=seconds)) from None
            except aiohttp.ClientConnectorError as error:
                raise Unreachable(_no_connection(address, self._settings.port, error)) from None
            except (aiohttp.ClientError, ValueError):
                raise NotRestarted(RestartRefusal.HTTP_CLOSED.notice(address=address)) from None
        _require_accepted(address, status, answer, call)

    @contextmanager
    def _call(self, address: str, device_name: str) -> Iterator[_Call]:
        if self._settings.username:
            call = _Call(device_name, self._settings.username, self._settings.password)
        else:
            call = _Call(device_name, secrets.token_hex(8), secrets.token_hex(8))
        self._calls.setdefault(address, []).append(call)
        try:
            yield call
        finally:
            self._calls[address].remove(call)
            if not self._calls[address]:
                del self._calls[address]

    async def _post(self, address: str, call: _Call, urls: Sequence[str]) -> tuple[int, bytes]:
        host = f"[{address}]" if ":" in address else address
        async with self._session.post(
            f"http://{host}:{self._settings.port}/CGI/Execute",
            # urlencode: the form classes of aiohttp would double the cost of a call.
            data=urlencode({"XML": _execute_object(urls)}).encode(),
            headers={
                hdrs.AUTHORIZATION: aiohttp.encode_basic_auth(call.username, call.password),
                hdrs.CONTENT_TYPE: "application/x-www-form-urlencoded",
            },
            allow_redirects=False,
        ) as response:
            return response.status, await _beginning(response.content)


async def _beginning(body: aiohttp.StreamReader) -> bytes:
    """Return the body, cut at its limit. One read gives what has arrived so far."""
    answer = b""
    while len(answer) < MAX_ANSWER_BYTES and (piece := await body.read(MAX_ANSWER_BYTES - len(answer))):
        answer += piece
    return answer


def _execute_object(urls: Sequence[str]) -> str:
    """Return the CiscoIPPhoneExecute object for ``urls``, each to be executed at once (priority 0)."""
    root = etree.Element("CiscoIPPhoneExecute")
    for url in urls[:MAX_ITEMS]:
        etree.SubElement(root, "ExecuteItem", Priority="0", URL=url)
    return etree.tostring(root, encoding="unicode")


def _no_connection(address: str, port: int, error: aiohttp.ClientConnectorError) -> Notice:
    if error.os_error.errno == errno.ECONNREFUSED:
        return RestartRefusal.HTTP_CONNECTION_REFUSED.notice(address=address, port=port)
    reason = error.os_error.strerror or str(error.os_error)
    return RestartRefusal.HTTP_UNREACHABLE.notice(address=address, error=reason)


def _require_accepted(address: str, status: int, answer: bytes, call: _Call) -> None:
    """Return if the phone has accepted every item. Raises NotRestarted."""
    if status in (401, 403):
        raise NotRestarted(RestartRefusal.HTTP_FORBIDDEN.notice(address=address, status=status))
    if status != 200:
        raise NotRestarted(RestartRefusal.HTTP_STATUS.notice(address=address, status=status))
    root = _parse(answer)
    if root is None:
        raise NotRestarted(RestartRefusal.NOT_A_PHONE.notice(address=address))
    if root.tag == "CiscoIPPhoneError":
        raise NotRestarted(_refusal(root.get("Number", ""), call))
    for item in root.iter("ResponseItem"):
        status_code = item.get("Status", "")
        if status_code != "0":
            known = _STATUS.get(status_code)
            raise NotRestarted(known.notice() if known else RestartRefusal.ITEM_STATUS.notice(status=status_code[:8]))


def _refusal(number: str, call: _Call) -> Notice:
    if number != "4":
        known = _ERRORS.get(number)
        return known.notice() if known else RestartRefusal.ERROR.notice(number=number[:8])
    if call.other_device is not None:
        return RestartRefusal.OTHER_PHONE.notice(device=call.other_device[:32])
    refusal = RestartRefusal.CREDENTIALS_REFUSED if call.asked else RestartRefusal.CREDENTIALS_NOT_CHECKED
    return refusal.notice()


def _parse(answer: bytes) -> etree._Element | None:
    """Return the root of an answer; None if it is neither of the two that a phone gives."""
    try:
        root = etree.fromstring(answer, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None
    return root if root.tag in ("CiscoIPPhoneResponse", "CiscoIPPhoneError") else None
