"""The URLs of the pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from cisisk.model.mac import Mac

PREFIX = "/cisco/services"
MAX_HOST = 50
"""Characters of host and port. A whole URL has at most 256 characters."""
MAX_SEARCHED = 64
"""Percent-encoded characters of a searched name: ten Greek letters, seven kana. A shortened name finds more."""
MAX_NUMBER = 24
"""Percent-encoded characters of a searched number: 15 digits (ITU-T E.164 section 6.2) and three of ``*`` or ``#``,
which take three characters each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Builds the URLs for one phone.

    Attributes:
        base: such as ``http://192.0.2.5:8080``.
        mac: None if the request does not name the phone.
    """

    base: str
    mac: Mac | None

    def to(self, page: str, **parameters: str | int) -> str:
        """Return the URL of ``page``, such as ``pdir/add``. Empty parameters are omitted."""
        named: Mapping[str, str | int] = {"mac": self.mac.device_name if self.mac else "", **parameters}
        query = urlencode({name: value for name, value in named.items() if value != ""}, quote_via=quote)
        return f"{self.base}{PREFIX}/{page}{'?' if query else ''}{query}"


def searchable(text: str, most: int = MAX_SEARCHED) -> str:
    """Return the beginning of ``text`` that has at most ``most`` characters when it is percent-encoded."""
    while len(quote(text, safe="")) > most:
        text = text[:-1]
    return text
