"""A real Asterisk on loopback, as an ordinary process with a configuration directory of its own."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from tests.asterisk import configuration
from tests.asterisk.configuration import Account, Ports
from tests.asterisk.debian import Tree
from tests.patience import PATIENCE

_BOOTED = "Asterisk has fully booted"
_POLL_SECONDS = 0.02


@dataclass
class AsteriskServer:
    """An Asterisk that can be stopped, killed and started again; its configuration and its database stay.

    Attributes:
        tree: the extracted packages.
        ports: where it listens.
        accounts: accounts of its manager interface.
        channel: the SIP channel driver, as in the setting ``asterisk.channel``.
    """

    tree: Tree
    ports: Ports
    accounts: Iterable[Account] = ()
    channel: str = "pjsip"
    directory: Path = field(init=False)
    _process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        # The path of Asterisk's control socket is limited to 108 bytes.
        self.directory = Path(mkdtemp(prefix="asterisk-"))
        configuration.write(self.directory, self.tree, self.ports, self.accounts, self.channel)

    @property
    def config_file(self) -> Path:
        return self.directory / "etc" / "asterisk.conf"

    @property
    def certificate(self) -> Path:
        """Return the certificate of the manager interface over TLS."""
        return configuration.certificate_in(self.directory)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        """Return what Asterisk has logged since its last start."""
        log = self.directory / "output"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def start(self, *, wait: bool = True) -> None:
        """Start Asterisk. With ``wait``, return when it has fully booted."""
        with (self.directory / "output").open("wb") as output:
            command = self.tree.command("-f", "-vvv", "-C", str(self.config_file))
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        if wait:
            self.wait_until_booted()

    def wait_until_booted(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while "fully booted" not in self.cli("core waitfullybooted").lower():
            assert self.is_running, f"Asterisk has ended: {self.said[-2000:]}"
            assert time.monotonic() < deadline, f"Asterisk does not boot: {self.said[-2000:]}"
            time.sleep(_POLL_SECONDS)

    def cli(self, command: str) -> str:
        """Return what a command of Asterisk's command line prints; nothing while it does not run."""
        run = self.tree.command("-C", str(self.config_file), "-rx", command)
        return subprocess.run(run, capture_output=True, text=True, check=False, timeout=PATIENCE).stdout

    def configure(self, name: str, text: str) -> None:
        """Replace a file of the configuration. Asterisk reads it at its next reload or start."""
        (self.config_file.parent / name).write_text(text, "utf-8")

    def stop(self) -> None:
        """End Asterisk in order: it unloads its modules. A call ends."""
        if self.is_running:
            self.cli("core stop now")
        self._end()

    def kill(self) -> None:
        """End Asterisk like a power failure."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGKILL)
        self._end()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """End Asterisk and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            if self.is_running:
                self._process.kill()
            self._process.wait()
