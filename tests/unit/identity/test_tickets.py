"""A ticket is good once, for a while, for what it was made for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.identity import tickets
from cisisk.identity.tickets import LIFETIME, TICKET_CHARACTERS, Tickets
from tests.unit.identity.conftest import Clock

BOUND = ("AABBCCDDEE01", "192.0.2.1", "login")


def test_a_ticket_is_good_once() -> None:
    issuer = Tickets()
    one, other = issuer.issue(*BOUND), issuer.issue(*BOUND)
    assert one != other
    assert len(one) == TICKET_CHARACTERS
    assert [issuer.redeem(each, *BOUND) for each in (one, one, other, other)] == [True, False, True, False]


def test_a_ticket_is_good_for_what_it_is_bound_to_alone() -> None:
    issuer = Tickets()
    ticket = issuer.issue(*BOUND)
    for position in range(3):
        bound = list(BOUND)
        bound[position] += "x"
        assert not issuer.redeem(ticket, *bound)
    assert not issuer.redeem(ticket, "AABBCCDDEE01192.0.2.1", "login")
    assert not Tickets().redeem(ticket, *BOUND)
    # None of these used it up.
    assert issuer.redeem(ticket, *BOUND)


def test_a_ticket_expires(clock: Clock) -> None:
    issuer = Tickets(clock)
    early, late = issuer.issue(*BOUND), issuer.issue(*BOUND)
    clock.go_on(LIFETIME)
    assert issuer.redeem(early, *BOUND)
    clock.go_on(1)
    assert not issuer.redeem(late, *BOUND)


def test_what_is_remembered_is_forgotten_with_the_lifetime(clock: Clock) -> None:
    issuer = Tickets(clock)
    for _ in range(10):
        assert issuer.redeem(issuer.issue(*BOUND), *BOUND)
        clock.go_on(LIFETIME / 2 + 1)
        assert sum(map(len, issuer._redeemed.values())) <= 3


def test_of_too_many_the_oldest_are_forgotten_and_no_ticket_becomes_good_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "MAX_REDEEMED", 100)
    issuer = Tickets(clock)
    honest = issuer.issue(*BOUND)
    used = []
    for _ in range(40):
        used += [issuer.issue(*BOUND) for _ in range(10)]
        assert all(issuer.redeem(each, *BOUND) for each in used[-10:])
        assert sum(map(len, issuer._redeemed.values())) <= 100
        clock.go_on(5)
    assert not any(issuer.redeem(each, *BOUND) for each in used)
    assert not issuer.redeem(honest, *BOUND)
    # Somebody who sends forms by the dozen does not take them away from those who still fill in theirs.
    patient = issuer.issue(*BOUND)
    for _ in range(5):
        assert all(issuer.redeem(issuer.issue(*BOUND), *BOUND) for _ in range(10))
        clock.go_on(5)
    assert issuer.redeem(patient, *BOUND)


def test_more_than_are_remembered_within_one_moment_are_good_once_all_the_same(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "MAX_REDEEMED", 3)
    issuer = Tickets(clock)
    given = [issuer.issue(*BOUND) for _ in range(10)]
    good = [issuer.redeem(each, *BOUND) for each in given]
    assert good[:3] == [True] * 3
    assert not any(issuer.redeem(each, *BOUND) for each in given[:3])
    assert sum(good) + sum(issuer.redeem(each, *BOUND) for each in given) <= 10


def test_a_ticket_in_another_spelling_is_the_same_ticket() -> None:
    issuer = Tickets()
    for _ in range(50):
        ticket = issuer.issue(*BOUND)
        plain = ticket.replace("-", "+").replace("_", "/")
        assert issuer.redeem(plain, *BOUND) is (plain == ticket)
        assert issuer.redeem(ticket, *BOUND) is (plain != ticket)
        for other in (plain, ticket.swapcase(), f"{ticket[:-1]}=", ticket + "="):
            assert not issuer.redeem(other, *BOUND)


@given(st.text(max_size=64))
def test_nobody_guesses_a_ticket(text: str) -> None:
    assert not Tickets().redeem(text, *BOUND)


@given(st.integers(0, TICKET_CHARACTERS - 1), st.characters(codec="ascii"))
def test_no_letter_of_a_ticket_can_be_changed(position: int, letter: str) -> None:
    issuer = Tickets()
    ticket = issuer.issue(*BOUND)
    changed = ticket[:position] + letter + ticket[position + 1 :]
    assert issuer.redeem(changed, *BOUND) is (changed == ticket)
