"""A call from a phone's first line to a number at its call manager (RFC 3261 sections 13 and 15), without audio."""

import secrets

from cisisk.simulator.line_client import LineClient, OpenWay, PhoneIdentity
from cisisk.simulator.running_config import LineAtProxy
from cisisk.sip import message

_AUDIO_PORT = 16_384
"""The first RTP port of Cisco phones. Nothing listens there."""


class OutgoingCall:
    """One call.

    Attributes:
        call_id: Call-ID of the dialog.
    """

    def __init__(self, line: LineAtProxy, identity: PhoneIdentity, open_way: OpenWay) -> None:
        self.call_id = f"{secrets.token_hex(8)}@{identity.address}"
        self._client = LineClient(line, identity, open_way, self.call_id)
        self._address = identity.address
        self._remote = ""
        self._target = ""

    async def begin(self, number: str, within: float) -> None:
        """Call ``number``; return when it is answered.

        Raises:
            LineRequestFailed: refused, or no answer ``within`` that many seconds.
        """
        uri = f"sip:{message.user_part(number)}@{self._client.uri.partition(':')[2]}"
        headers = (
            ("To", f"<{uri}>"),
            ("Contact", self._client.contact),
            ("Allow", "INVITE, ACK, BYE, NOTIFY"),
            ("Content-Type", "application/sdp"),
        )
        answered = await self._client.exchange("INVITE", uri, headers, within, self._offer())
        self._remote = answered.get("To") or ""
        contact = answered.get("Contact") or ""
        self._target = contact.partition("<")[2].partition(">")[0] or contact

    async def end(self, within: float) -> None:
        """Hang up. Raises LineRequestFailed like :meth:`begin`."""
        await self._client.exchange("BYE", self._target, (("To", self._remote),), within)

    def _offer(self) -> bytes:
        family = "IP6" if ":" in self._address else "IP4"
        lines = (
            "v=0",
            f"o=- 1 1 IN {family} {self._address}",
            "s=-",
            f"c=IN {family} {self._address}",
            "t=0 0",
            f"m=audio {_AUDIO_PORT} RTP/AVP 0",
            "a=rtpmap:0 PCMU/8000",
        )
        return "".join(f"{line}\r\n" for line in lines).encode()
