"""An HTTP client that browses phone pages: it follows soft keys and submits forms from a phone's address."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote_plus

import aiohttp
from yarl import URL

from cisisk.model.mac import Mac
from cisisk.phone_services.texts import Words, in_words
from tests.unit.phone_services.limits import Seen, seen
from tests.unit.phone_services.words import label


@dataclass
class PhoneBrowser:
    """The browser of one phone.

    Attributes:
        page: the page on the screen.
        is_kept: whether Back leads to that page.
        refresh: the Refresh header of that page.
    """

    session: aiohttp.ClientSession
    services: str
    mac: Mac
    model: str
    address: str
    page: Seen = field(init=False)
    is_kept: bool = False
    refresh: str | None = None

    async def load(self, url: str | URL, form: Mapping[str, str] | None = None, **headers: str) -> Seen:
        """Load a page and check it against the limits of this phone model."""
        headers = {"x-CiscoIPPhoneModelName": self.model, "Accept-Charset": "utf-8,iso-8859-1;q=0.8", **headers}
        method = "GET" if form is None else "POST"
        async with self.session.request(method, url, data=form, headers=headers, allow_redirects=False) as response:
            assert response.status == 200, response.status
            expires = response.headers.get("Expires")
            assert expires in {None, "Sat, 01 Jan 2000 00:00:00 GMT"}
            self.is_kept, self.refresh = expires is None, response.headers.get("Refresh")
            self.page = seen(await response.read(), response.headers["Content-Type"], self.model)
        return self.page

    async def open(self, path: str, **parameters: str) -> Seen:
        """Open a service as its button does."""
        query = "&".join(f"{name}={value}" for name, value in {"mac": self.mac.device_name, **parameters}.items())
        return await self.load(f"{self.services}/{path}?{query}")

    async def press(self, key: Words) -> Seen:
        """Press a soft key that leads to a page."""
        return await self.load(self.page.keys[label(key)])

    async def choose(self, item: Words) -> Seen:
        """Select an item of a menu."""
        assert "SoftKey:Select" in self.page.keys.values()
        return await self.load(self.page.items[in_words(item).strip()])

    async def submit(self, **values: str) -> Seen:
        """Fill in the form and submit it as this phone model does."""
        assert self.page.kind == "Input"
        assert set(values) <= set(self.page.inputs)
        sent = {**self.page.inputs, **values}
        url = self.page.action.text or ""
        if self.page.action.get("method") == "post":
            return await self.load(url, sent)
        charset = "iso-8859-1" if self.model.startswith("CP-7940") else "utf-8"
        query = "&".join(f"{name}={quote_plus(value, encoding=charset)}" for name, value in sent.items())
        return await self.load(URL(f"{url}{'&' if '?' in url else '?'}{query}", encoded=True))

    async def log_in(self, path: str, user: str = "anna", pin: str = "2468") -> Seen:
        """Open a service that requires a login, and log in."""
        await self.open(path)
        return await self.submit(user=user, pin=pin)


@asynccontextmanager
async def open_browser(phones_url: str, mac: Mac, model: str, address: str) -> AsyncIterator[PhoneBrowser]:
    """Open the browser of a phone at the loopback address ``address``."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield PhoneBrowser(session, f"{phones_url}/cisco/services", mac, model, address)
