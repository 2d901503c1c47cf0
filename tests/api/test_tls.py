"""With a certificate the API uses a TLS port, and the plain port serves phones only."""

import socket
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from cisisk.appliance import appliance
from cisisk.config import Settings
from cisisk.model.errors import ConfigurationError
from tests.api.client import Client, settings_for

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture
def certified(tmp_path: Path, settings: Settings) -> Settings:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=cisisk.test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return settings_for(tmp_path, server={"tls_cert": str(certificate), "tls_key": str(key), "tls_port": 0})


async def test_api_with_certificate_answers_on_tls_port_only(certified: Settings) -> None:
    trusting = ssl.create_default_context(cafile=certified.server.tls_cert)
    async with appliance.running(certified) as running:
        assert running.api_url.startswith("https://127.0.0.1:")
        assert running.phones_url.startswith("http://127.0.0.1:")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            admin = await Client(session, running.api_url).login("admin")
            assert (await admin.get("/users")).status == 200
            async with session.get(f"{running.api_url}/api/docs") as page:
                assert page.status == 200
            async with session.post(f"{running.api_url}/emservice/EMServiceServlet", data={"xml": ""}) as answer:
                assert (answer.status, answer.content_type) == (200, "text/xml")
        async with aiohttp.ClientSession() as session:
            for path in ("/api/v1/hello", "/api/v1/health", "/api/v1/openapi.json", "/api/docs", "/api/v1/users", "/"):
                async with session.get(running.phones_url + path) as answer:
                    assert (path, answer.status) == (path, 404)
            login = {"username": "admin", "password": "x"}
            async with session.post(f"{running.phones_url}/api/v1/auth/login", json=login) as answer:
                assert answer.status == 404
            async with session.post(f"{running.phones_url}/emservice/EMServiceServlet", data={"xml": ""}) as answer:
                assert answer.status == 404
            async with session.get(f"{running.phones_url}/cisco/authentication?UserID=a&Password=b") as answer:
                assert (answer.status, await answer.text()) == (200, "UN-AUTHORIZED")


async def test_tls_port_refuses_plain_http(certified: Settings) -> None:
    async with appliance.running(certified) as running, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(running.api_url.replace("https:", "http:") + "/api/v1/hello")


async def test_start_with_unusable_certificate_releases_everything(certified: Settings, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"server\.tls_cert, server\.tls_key"):
        async with appliance.running(certified):
            pass
    # The failed start released the lock.
    async with appliance.running(settings_for(tmp_path)) as running:
        assert running.api_url.startswith("http://")
    with socket.socket(socket.AF_UNIX) as control, pytest.raises(OSError, match=r"No such file|refused"):
        control.connect(str(certified.data.dir / appliance.CONTROL_SOCKET))
