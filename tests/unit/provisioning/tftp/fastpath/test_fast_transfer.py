import ctypes
from operator import length_hint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.fastpath.block_run import LONGEST_RUN, NO_ANSWERS
from cisisk.provisioning.tftp.fastpath.transfer import FastTransfer
from cisisk.provisioning.tftp.transfer import INTERVALS, Transfer
from cisisk.provisioning.tftp.wire import TftpRequest
from tests.unit.provisioning.tftp.conftest import MakeContent


def request(**options: int) -> TftpRequest:
    return TftpRequest("a", "octet", {key: str(value) for key, value in options.items()})


def whole(content: MakeContent, data: bytes, **options: int) -> FastTransfer:
    """A transfer that reads its content in one piece."""
    file = content(data)
    file.read_ahead = len(data)
    return FastTransfer(request(**options), file, 0.0)


@given(size=st.integers(0, 5000), blksize=st.integers(8, 1428), answered=st.lists(st.booleans(), max_size=80))
def test_prepared_answers_equal_those_of_the_plain_transfer(
    content: MakeContent, size: int, blksize: int, answered: list[bool]
) -> None:
    data = bytes(index % 251 for index in range(size))
    one, other = whole(content, data, blksize=blksize), Transfer(request(blksize=blksize), content(data), 0.0)
    for transfer in (one, other):
        transfer.start(0.0)
    for block, is_prepared in enumerate(answered):
        if is_prepared:
            one.make_ready()
        awaited, answers = one.prepared
        expected = other.receive(wire.ack(block), 0.0)
        if is_prepared and one.outcome is None:
            assert next(awaited) == int.from_bytes(wire.ack(block), "big")
            address = next(answers, None)
            if address is not None:
                head, head_length, payload, length = (ctypes.c_uint64 * 4).from_address(address)
                packet = ctypes.string_at(head, head_length) + ctypes.string_at(payload, length)
                assert (packet,) == expected
                continue
        assert one.receive(wire.ack(block), 0.0) == expected
        assert (one.blocks, one.sent, one.outcome) == (other.blocks, other.sent, other.outcome)
    for transfer in (one, other):
        transfer.abandon()
    assert (one.blocks, one.sent, one.outcome) == (other.blocks, other.sent, other.outcome)


@given(size=st.integers(0, 5000), options=st.sampled_from([{}, {"blksize": 700}, {"windowsize": 2}, {"timeout": 20}]))
def test_proceed_answers_like_the_plain_transfer_or_not_at_all(
    content: MakeContent, size: int, options: dict[str, int]
) -> None:
    data = bytes(index % 251 for index in range(size))
    one, other = whole(content, data, **options), Transfer(request(**options), content(data), 0.0)
    for transfer in (one, other):
        transfer.start(0.0)
    for block in [*range(12), 12, 11]:
        now = float(block)
        answer, expected = one.proceed(wire.ack(block), now), other.receive(wire.ack(block), now)
        assert ((answer,) if answer is not None else one.receive(wire.ack(block), now)) == expected
        assert (one.blocks, one.sent, one.deadline, one.outcome) == (
            other.blocks,
            other.sent,
            other.deadline,
            other.outcome,
        )


def test_run_of_small_blocks_is_limited(content: MakeContent) -> None:
    transfer = whole(content, b"x" * 500_000, blksize=8)
    transfer.start(0.0)
    transfer.make_ready()
    assert length_hint(transfer.prepared[1]) == LONGEST_RUN


def test_prepared_answer_sent_postpones_the_deadline(content: MakeContent) -> None:
    transfer = whole(content, b"x" * 5000)
    transfer.start(0.0)
    transfer.make_ready()
    next(transfer.prepared[1])
    assert not transfer.is_due(0.25)
    assert not transfer.is_due(0.44)
    assert transfer.expire(0.45) == (wire.data(2, b"x" * 512),)


def test_answers_are_not_prepared_after_repetition(content: MakeContent) -> None:
    transfer = whole(content, b"x" * 2000)
    transfer.start(0.0)
    transfer.make_ready()
    transfer.expire(0.2)
    transfer.make_ready()
    assert transfer.prepared is NO_ANSWERS
    transfer.receive(wire.ack(1), 0.3)
    assert transfer.deadline == pytest.approx(0.3 + INTERVALS[0])


def test_answers_are_not_prepared_for_windows(content: MakeContent) -> None:
    transfer = whole(content, b"x" * 5000, windowsize=4)
    transfer.start(0.0)
    transfer.make_ready()
    assert transfer.prepared is NO_ANSWERS
