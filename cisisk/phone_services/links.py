"""The URLs of the pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from cisisk.model.mac import Mac

PREFIX = "/cisco/services"
MAX_HOST = 50
"""Characters of host and port in a URL, of which 256 have to be enough for everything."""
MAX_SEARCHED = 64
"""Characters of a name to search for, percent-encoded: ten Greek letters, seven kana. What is cut off finds more."""
MAX_NUMBER = 24
"""Characters of a number to search for, percent-encoded, of which ``*`` and ``#`` take three each: three of them and
all digits that a telephone number can have (ITU-T E.164 section 6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Makes URLs for one phone.

    Attributes:
        base: ``http://192.0.2.5:8080``.
        mac: None while the phone has not said who it is.
    """

    base: str
    mac: Mac | None

    def to(self, page: str, **parameters: str | int) -> str:
        """The URL of ``page``, such as ``pdir/add``; empty parameters are left out."""
        named: Mapping[str, str | int] = {"mac": self.mac.device_name if self.mac else "", **parameters}
        query = urlencode({name: value for name, value in named.items() if value != ""}, quote_via=quote)
        return f"{self.base}{PREFIX}/{page}{'?' if query else ''}{query}"


def searchable(text: str, most: int = MAX_SEARCHED) -> str:
    """As much of ``text`` as fits into a URL, percent-encoded in ``most`` characters."""
    while len(quote(text, safe="")) > most:
        text = text[:-1]
    return text
