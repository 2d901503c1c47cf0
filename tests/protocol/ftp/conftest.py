"""An FTP server with a real library, and its clients."""

import ftplib
import queue
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from cisisk.model.errors import Invalid, NotFound, StorageFailed, TooManyAttempts, Unauthenticated
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.provisioning.fetch import Fetch
from cisisk.provisioning.ftp.server import FtpServer
from cisisk.provisioning.library import Library
from cisisk.provisioning.staging import STAGING
from cisisk.provisioning.uploads import Uploads
from tests.patience import PATIENCE

PASSWORD = "correct horse"
ACTOR = Actor(user_uuid="00000000-0000-4000-8000-000000000001", user_agent="FTP")


class User:
    username = "admin"
    actor = ACTOR

    def __init__(self, site: "FtpSite") -> None:
        self._site = site

    def is_still_admitted(self) -> "Future[bool]":
        answer: Future[bool] = Future()
        answer.set_result(self._site.admits)
        return answer


class FtpSite:
    """A server with its library. It is also the authenticator, the config sink and the recorder."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.admits = True
        self.throttled = False
        self.asked: list[tuple[str, str]] = []
        self.records: list[tuple[str, str]] = []
        self.fetches: queue.Queue[Fetch] = queue.Queue()
        self.before_put: Callable[[], None] = lambda: None
        self._threads = ThreadPoolExecutor(2)
        self.library = Library(root)
        self.uploads = Uploads(self.library, self, 65536)
        arguments: dict[str, Any] = {"host": "127.0.0.1", "port": 0} | settings
        self.server = FtpServer(authenticator=self, uploads=self.uploads, on_fetch=self.fetches.put, **arguments)

    def admit(self, username: str, password: str, host: str) -> "Future[User]":
        self.asked.append((username, host))
        return self._threads.submit(self._admit, username, password)

    def _admit(self, username: str, password: str) -> User:
        if self.throttled:
            raise TooManyAttempts(7)
        if (username, password) != ("admin", PASSWORD):
            raise Unauthenticated("Wrong username or password")
        return User(self)

    def put_config(self, actor: Actor, mac: Mac, name: str, content: bytes) -> None:
        self.before_put()
        try:
            etree.fromstring(content)
        except etree.XMLSyntaxError as error:
            raise Invalid(f"The config cannot be read by a phone:\n{error}") from error
        self.library.replace(mac.config_name, content, self.library.current(mac.config_name))
        self.records.append(("config", str(mac)))

    def remove_config(self, actor: Actor, mac: Mac) -> None:
        known = self.library.current(mac.config_name)
        if known is None:
            raise NotFound("File not found")
        self.library.remove(mac.config_name, known)

    def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        assert actor == ACTOR
        if self.records and self.records[-1][0] == "full":
            raise StorageFailed("The database is full")
        self.records.append((action, path))

    @property
    def port(self) -> int:
        return self.server.address[1]

    @property
    def staged_files(self) -> list[str]:
        """Return the files in the staging directory."""
        return [path.name for path in (self.root / STAGING).iterdir()]

    def served(self, name: str) -> bytes:
        content = self.library.open(name)
        try:
            return content.read(0, content.size)
        finally:
            content.close()

    def client(self, host: str = "127.0.0.1", kind: type[ftplib.FTP] = ftplib.FTP) -> ftplib.FTP:
        """Return a logged-in client."""
        made = kind(timeout=PATIENCE)
        made.connect(host, self.port)
        made.login("admin", PASSWORD)
        return made

    def close(self) -> None:
        self.server.stop(0)
        self._threads.shutdown()
        self.library.close()


class Wire:
    """A control connection that sends and receives single lines."""

    def __init__(self, port: int, *, login: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.lines = self.socket.makefile("rb")
        self.receive("220")
        if login:
            self.request("USER admin", "331")
            self.request(f"PASS {PASSWORD}", "230")

    def request(self, command: str | bytes, answer: str) -> str:
        self.send(command)
        return self.receive(answer)

    def send(self, command: str | bytes) -> None:
        self.socket.sendall((command.encode() if isinstance(command, str) else command) + b"\r\n")

    def receive(self, code: str = "") -> str:
        """Return the next complete reply, and check its code."""
        lines = [self.lines.readline().decode()]
        while lines[-1][3:4] == "-" or (len(lines) > 1 and not lines[-1].startswith(f"{lines[0][:3]} ")):
            lines.append(self.lines.readline().decode())
        text = "".join(lines)
        assert text.startswith(code), text
        assert text, "the server has hung up"
        return text.rstrip()

    def is_closed(self) -> bool:
        try:
            return self.lines.readline() == b""
        except ConnectionError:
            return True

    def data(self) -> socket.socket:
        """Open a data connection."""
        port = int(self.request("EPSV", "229").split("|||")[1].split("|")[0])
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.fixture
def ftp_site(tmp_path: Path) -> Iterator[Callable[..., FtpSite]]:
    """Start servers; check at the end that the staging directory is empty."""
    running: list[FtpSite] = []

    def start(root: Path = tmp_path / "tftpboot", **settings: Any) -> FtpSite:
        running.append(FtpSite(root, **settings))
        running[-1].server.start()
        return running[-1]

    yield start
    for site in running:
        site.close()
        assert site.staged_files == []


@pytest.fixture
def site(ftp_site: Callable[..., FtpSite]) -> FtpSite:
    return ftp_site()


@pytest.fixture
def ftp_wire() -> Iterator[Callable[..., Wire]]:
    """Open control connections."""
    with ExitStack() as stack:

        def open_wire(site: FtpSite, *, login: bool = True) -> Wire:
            made = Wire(site.port, login=login)
            stack.callback(made.close)
            return made

        yield open_wire


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Create a certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=cisisk.test", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return files


@pytest.fixture
def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition; fail after a timeout."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it never came about"
            time.sleep(0.005)

    return wait
