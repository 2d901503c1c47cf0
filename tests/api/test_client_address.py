"""The client address of a request, with and without trusted proxies."""

from tests.api.client import Client
from tests.api.conftest import SiteWith


async def shown_ip(client: Client, *forwarded: str) -> str:
    headers = [("X-Forwarded-For", each) for each in forwarded]
    async with client.session.get(f"{client.url}/api/v1/hello", headers=headers) as response:
        return str((await response.json())["metadata"]["ip"])


async def test_forwarded_address_without_trusted_proxy_is_ignored(anonymous: Client) -> None:
    assert await shown_ip(anonymous, "192.0.2.1") == "127.0.0.1"


async def test_forwarded_address_from_trusted_proxy_is_used(site_with: SiteWith) -> None:
    async with site_with(server={"trusted_proxies": ["127.0.0.1", "192.0.2.9"]}) as site:
        for forwarded, shown in {
            (): "127.0.0.1",
            ("198.51.100.1",): "198.51.100.1",
            ("2001:DB8::1",): "2001:db8::1",
            ("203.0.113.5, 198.51.100.1",): "198.51.100.1",
            ("198.51.100.1, 192.0.2.9",): "198.51.100.1",
            ("198.51.100.1", "192.0.2.9"): "198.51.100.1",
            # The proxy adds its own header line below the forged line of the client.
            ("203.0.113.5", "198.51.100.1"): "198.51.100.1",
            ("203.0.113.5, nonsense",): "127.0.0.1",
            ("192.0.2.9",): "192.0.2.9",
            ("",): "127.0.0.1",
        }.items():
            assert (forwarded, await shown_ip(site.anonymous, *forwarded)) == (forwarded, shown)
