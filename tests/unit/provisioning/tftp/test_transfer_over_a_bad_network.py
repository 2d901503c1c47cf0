"""A receiver according to RFC 1350 behind a network that loses, repeats and reorders packets."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.path import DatagramPath
from cisisk.provisioning.tftp.transfer import Transfer
from cisisk.provisioning.tftp.wire import Data, Error, Oack, TftpRequest
from tests.unit.provisioning.tftp.conftest import MakeContent


class Receiver:
    def __init__(self) -> None:
        self.received = bytearray()
        self.blksize = 512
        self.last_block = 0
        self.done = False

    def take(self, datagram: bytes) -> bytes | None:
        """Return the acknowledgement of a packet. The RFC requires it for repeated packets too."""
        packet = wire.parse(datagram)
        if isinstance(packet, Oack):
            self.blksize = int(packet.options.get("blksize", "512"))
            return wire.ack(0)
        assert isinstance(packet, Data)
        if packet.block == self.last_block + 1:
            assert not self.done
            self.received += packet.payload
            self.last_block = packet.block
            self.done = len(packet.payload) < self.blksize
        return wire.ack(packet.block) if packet.block <= self.last_block else None


class BadNetwork(RuleBasedStateMachine):
    content: MakeContent
    new_transfer: Callable[..., Transfer]

    @initialize(
        size=st.integers(0, 60) | st.sampled_from([511, 512, 513, 1024]),
        blksize=st.none() | st.sampled_from([8, 9, 16]),
    )
    def request(self, size: int, blksize: int | None) -> None:
        self.now = 0.0
        self.data = bytes(index % 251 for index in range(size))
        options = {} if blksize is None else {"blksize": str(blksize)}
        self.receiver = Receiver()
        self.transfer = self.new_transfer(TftpRequest("a", "octet", options), self.content(self.data), self.now)
        self.to_receiver: list[bytes] = []
        self.to_server: list[bytes] = []
        self.acknowledged = 0
        self.answer(self.transfer.start(self.now))

    def answer(self, packets: tuple[bytes, ...]) -> None:
        assert len(packets) <= 1
        for datagram in packets:
            packet = wire.parse(datagram)
            assert not isinstance(packet, Error)
            if isinstance(packet, Data):
                # Only one block is unacknowledged.
                assert packet.block == self.acknowledged + 1
        self.to_receiver += packets

    def hand_to_server(self, datagram: bytes) -> None:
        packet = wire.parse(datagram)
        assert isinstance(packet, wire.Ack)
        self.acknowledged = max(self.acknowledged, packet.block)
        self.answer(self.transfer.receive(datagram, self.now))

    @precondition(lambda self: self.to_receiver)
    @rule(data=st.data(), keep=st.booleans())
    def deliver_to_receiver(self, data: st.DataObject, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.to_receiver) - 1))
        datagram = self.to_receiver[index] if keep else self.to_receiver.pop(index)
        answer = self.receiver.take(datagram)
        if answer is not None:
            self.to_server.append(answer)

    @precondition(lambda self: self.to_server)
    @rule(data=st.data(), keep=st.booleans())
    def deliver_to_server(self, data: st.DataObject, keep: bool) -> None:
        index = data.draw(st.integers(0, len(self.to_server) - 1))
        self.hand_to_server(self.to_server[index] if keep else self.to_server.pop(index))

    @precondition(lambda self: self.to_receiver or self.to_server)
    @rule()
    def lose_everything_on_its_way(self) -> None:
        self.to_receiver.clear()
        self.to_server.clear()

    @rule()
    def wait_for_the_deadline(self) -> None:
        self.now = max(self.now, self.transfer.deadline)
        self.answer(self.transfer.expire(self.now))

    @rule()
    def repeat_the_request(self) -> None:
        self.answer(self.transfer.repeat())

    @rule(ahead=st.integers(2, 300))
    def acknowledge_what_was_never_sent(self, ahead: int) -> None:
        assert self.transfer.receive(wire.ack(self.acknowledged + ahead), self.now) == ()

    @rule(garbage=st.binary(max_size=3) | st.just(b"\0\x09abcd"))
    def send_garbage(self, garbage: bytes) -> None:
        assert self.transfer.receive(garbage, self.now) == ()

    @invariant()
    def the_receiver_has_a_true_prefix(self) -> None:
        assert self.data.startswith(self.receiver.received)
        assert self.transfer.acknowledged <= len(self.receiver.received)

    def teardown(self) -> None:
        """After the network recovers, the transfer ends, never with wrong content."""
        for _ in range(1000):
            while self.to_receiver and self.transfer.outcome is None:
                self.deliver_first()
            if self.transfer.outcome is not None:
                break
            self.wait_for_the_deadline()
        assert self.transfer.outcome in {FetchOutcome.COMPLETED, FetchOutcome.TIMED_OUT}
        if self.transfer.outcome is FetchOutcome.COMPLETED:
            assert self.receiver.done
            assert self.receiver.received == self.data
            assert self.transfer.acknowledged == len(self.data)

    def deliver_first(self) -> None:
        answer = self.receiver.take(self.to_receiver.pop(0))
        if answer is not None:
            self.hand_to_server(answer)


@pytest.mark.parametrize("steps", [15, 60])
def test_receiver_gets_the_content_or_the_transfer_fails(
    content: MakeContent, tftp_path: DatagramPath, steps: int
) -> None:
    machine = type("Machine", (BadNetwork,), {"content": staticmethod(content), "new_transfer": tftp_path.new_transfer})
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=steps))
