"""The policy against a model of its guarantees, under any order of events, in both modes."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cisisk.model.mac import Mac
from cisisk.provisioning.access.policy import ALLOWED_SECONDS, EXPECTED_SECONDS, Mode
from cisisk.provisioning.access.sources import FREE_DEVICES, WINDOW_SECONDS, SourceLimits
from tests.unit.provisioning.access.conftest import PolicySetup

HOSTS = [f"10.0.{net}.{last}" for net in range(2) for last in range(1, 5)]
NUMBERS = range(1, FREE_DEVICES + 4)
hosts, numbers = st.sampled_from(HOSTS), st.sampled_from(NUMBERS)
MOST_SOURCES = 5


class Policies(RuleBasedStateMachine):
    """``known`` and the other sets mirror the test's actions. Every second phone has a file."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        limits = SourceLimits(max_sources=MOST_SOURCES)
        self.pin = PolicySetup(self.directory / "pin", Mode.PIN, limits=limits)
        self.observe = PolicySetup(self.directory / "observe", Mode.OBSERVE, limits=limits)
        self.macs: dict[int, Mac] = {}
        self.allowed: dict[int, float] = {}
        self.expected: dict[int, float] = {}
        self.neighbours: dict[str, int] = {}
        self.learnt: dict[str, set[int]] = {}

    @property
    def both(self) -> tuple[PolicySetup, PolicySetup]:
        return self.pin, self.observe

    @property
    def now(self) -> float:
        return self.pin.now

    def addresses(self, number: int) -> set[str]:
        known = self.pin.known.get(self.macs[number])
        return {ip for ip in (known.seen_ip, known.phone_ip) if ip} if known else set()

    @initialize()
    def files(self) -> None:
        for number in NUMBERS:
            self.macs[number] = Mac(f"0011220{number:05X}")
            if number % 2:
                for site in self.both:
                    site.phone(number)

    @rule(number=numbers, seen=hosts, entered=st.none() | hosts)
    def know(self, number: int, seen: str, entered: str | None) -> None:
        for site in self.both:
            site.move(self.macs[number], seen, entered)
        # A newer sighting may end a permission or, within one millisecond, may not.
        self.allowed.pop(number, None)
        self.expected.pop(number, None)
        for site in self.both:
            site.policy._allowed.pop(self.macs[number].digits, None)
            site.policy._expected.pop(self.macs[number].digits, None)

    @rule(number=numbers)
    def expect(self, number: int) -> None:
        self.expected[number] = self.now + EXPECTED_SECONDS
        for site in self.both:
            site.policy.expect(self.macs[number])

    @rule(number=numbers)
    def allow(self, number: int) -> None:
        self.allowed[number] = self.now + ALLOWED_SECONDS
        for site in self.both:
            site.policy.allow_next(self.macs[number])

    @rule(host=hosts, number=numbers)
    def appear(self, host: str, number: int) -> None:
        self.neighbours[host] = number
        for site in self.both:
            site.neighbour(host, str(self.macs[number]))

    @rule(seconds=st.sampled_from([1.0, 31.0, EXPECTED_SECONDS, WINDOW_SECONDS, 3600.0]))
    def wait(self, seconds: float) -> None:
        for site in self.both:
            site.now += seconds
            site.policy.due_alarms()
        self.learnt.clear()

    @precondition(lambda self: self.macs)
    @rule(host=hosts, number=numbers)
    def ask(self, host: str, number: int) -> None:
        mac, is_there = self.macs[number], number % 2 == 1
        assert self.observe.gets(host, mac) is is_there
        is_served = self.pin.gets(host, mac)
        assert is_there or not is_served
        home = self.addresses(number)
        if host in home or self.neighbours.get(host) == number or self.now < self.allowed.get(number, 0):
            assert is_served is is_there
        elif home:
            near = any(host.rpartition(".")[0] == ip.rpartition(".")[0] for ip in home)
            assert not is_served or (near and self.now < self.expected.get(number, 0))
        elif is_served:
            # Learnt: one phone of one address, unless so many others ask that it was forgotten.
            assert host not in self.neighbours
            assert all(host not in self.addresses(other) for other in self.macs)
            self.learnt.setdefault(host, set()).add(number)
            assert len(self.learnt[host]) == 1 or self.pin.policy._sources._is_flooded

    @rule(host=hosts)
    def search(self, host: str) -> None:
        for number in NUMBERS:
            self.pin.gets(host, f"SEP0099{number:08X}.cnf.xml")
            self.observe.gets(host, f"SEP0099{number:08X}.cnf.xml")
        assert host in self.pin.policy._throttled
        assert host in self.observe.policy._throttled

    @invariant()
    def memory_is_bounded(self) -> None:
        for site in self.both:
            table = site.policy._sources
            assert len(table._free) <= MOST_SOURCES
            assert table._named == sum(len(source.devices) for source in table._each())
            assert not table._free.keys() & table.throttled.keys()

    def teardown(self) -> None:
        for site in self.both:
            site.library.close()
        shutil.rmtree(self.directory)


TestPolicies = Policies.TestCase
TestPolicies.settings = settings(max_examples=60, stateful_step_count=40)
