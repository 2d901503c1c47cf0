"""Where a request comes from, and who may say so."""

from tests.api.client import Client
from tests.api.conftest import SiteWith


async def shown_ip(client: Client, *forwarded: str) -> str:
    headers = [("X-Forwarded-For", each) for each in forwarded]
    async with client.session.get(f"{client.url}/api/v1/hello", headers=headers) as response:
        return str((await response.json())["metadata"]["ip"])


async def test_a_stranger_cannot_say_where_he_comes_from(anybody: Client) -> None:
    assert await shown_ip(anybody, "192.0.2.1") == "127.0.0.1"


async def test_a_trusted_proxy_is_believed_and_nobody_behind_it(site_with: SiteWith) -> None:
    async with site_with(server={"trusted_proxies": ["127.0.0.1", "192.0.2.9"]}) as site:
        for forwarded, shown in {
            (): "127.0.0.1",
            ("198.51.100.1",): "198.51.100.1",
            ("2001:DB8::1",): "2001:db8::1",
            ("203.0.113.5, 198.51.100.1",): "198.51.100.1",
            ("198.51.100.1, 192.0.2.9",): "198.51.100.1",
            ("198.51.100.1", "192.0.2.9"): "198.51.100.1",
            # A proxy that adds a line of its own, below the one that the client made up.
            ("203.0.113.5", "198.51.100.1"): "198.51.100.1",
            ("203.0.113.5, nonsense",): "127.0.0.1",
            ("192.0.2.9",): "192.0.2.9",
            ("",): "127.0.0.1",
        }.items():
            assert (forwarded, await shown_ip(site.anybody, *forwarded)) == (forwarded, shown)
