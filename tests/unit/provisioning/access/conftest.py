"""A policy with a settable clock, a library and a settable ARP table."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cisisk.model import clock
from cisisk.model.mac import Mac
from cisisk.provisioning.access.neighbours import FRESH_SECONDS, Neighbours
from cisisk.provisioning.access.policy import AccessPolicy, Mode
from cisisk.provisioning.access.sources import DEFAULT_LIMITS, SourceLimits
from cisisk.provisioning.library import Library
from cisisk.provisioning.source import NotServed
from cisisk.store.phones import PhoneAddress

ARP_HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"


class PolicySetup:
    """A policy in front of a library. Every config contains the name of its phone."""

    def __init__(
        self, directory: Path, mode: Mode, decoys: tuple[Mac, ...] = (), limits: SourceLimits = DEFAULT_LIMITS
    ) -> None:
        self.now = 1000.0
        directory.mkdir()
        self.root = directory / "tftpboot"
        self.arp = directory / "arp"
        self.arp.write_text(ARP_HEAD)
        self.known: dict[Mac, PhoneAddress] = {}
        self.library = Library(self.root)
        neighbours = Neighbours(self.arp, lambda: self.now)
        self.policy = AccessPolicy(
            self.library, mode, decoys=decoys, neighbours=neighbours, clock=lambda: self.now, limits=limits
        )

    def phone(self, number: int, seen_ip: str | None = None, phone_ip: str | None = None) -> Mac:
        """Add a phone with a config, known at ``host``."""
        mac = Mac(f"0011220{number:05X}")
        (self.root / mac.config_name).write_text(mac.device_name)
        self.library.refresh()
        if seen_ip or phone_ip:
            self.move(mac, seen_ip, phone_ip)
        return mac

    def move(self, mac: Mac, seen_ip: str | None, phone_ip: str | None = None) -> None:
        """Store an address of a phone."""
        self.known[mac] = PhoneAddress(mac=mac, phone_ip=phone_ip, seen_ip=seen_ip, seen_at=clock.now())
        self.policy.know(self.known.values())

    def gets(self, host: str, name: str | Mac) -> bool:
        """Return whether ``host`` gets the file; check its content."""
        file = name.config_name if isinstance(name, Mac) else name
        try:
            with closing(self.policy.open(file, host)) as content:
                assert not isinstance(name, Mac) or content.read(0, 99) == name.device_name.encode()
                return True
        except NotServed:
            return False

    def search(self, host: str, count: int, first: int = 0xF0000) -> None:
        """Request configs of unknown phones from ``host``."""
        for number in range(first, first + count):
            assert not self.gets(host, f"SEP0011220{number:05X}.cnf.xml")

    def neighbour(self, host: str, mac: str) -> None:
        """Add a machine to the ARP table."""
        with self.arp.open("a") as table:
            table.write(f"{host:<16} 0x1         0x2         {mac.lower():<21} *        eth0\n")
        self.now += FRESH_SECONDS


MakePolicySetup = Callable[..., PolicySetup]


@pytest.fixture
def make_setup(tmp_path: Path) -> Iterator[MakePolicySetup]:
    """Return a function that creates a setup."""
    made: list[PolicySetup] = []

    def make(mode: Mode, **options: Any) -> PolicySetup:
        made.append(PolicySetup(tmp_path / str(len(made)), mode, **options))
        return made[-1]

    yield make
    for each in made:
        each.library.close()
