"""Tickets are valid once, for a limited time, for one binding."""

from hypothesis import given
from hypothesis import strategies as st

from cisisk.identity.tickets import LIFETIME, TICKET_CHARACTERS, Tickets
from tests.unit.identity.conftest import Clock

BOUND = ("AABBCCDDEE01", "192.0.2.1", "login")


def test_ticket_is_valid_once() -> None:
    issuer = Tickets()
    one, other = issuer.issue(*BOUND), issuer.issue(*BOUND)
    assert one != other
    assert len(one) == TICKET_CHARACTERS
    assert [issuer.redeem(each, *BOUND) for each in (one, one, other, other)] == [True, False, True, False]


def test_ticket_is_valid_only_for_its_binding() -> None:
    issuer = Tickets()
    ticket = issuer.issue(*BOUND)
    for position in range(3):
        bound = list(BOUND)
        bound[position] += "x"
        assert not issuer.redeem(ticket, *bound)
    assert not issuer.redeem(ticket, "AABBCCDDEE01192.0.2.1", "login")
    assert not Tickets().redeem(ticket, *BOUND)
    # None of these attempts invalidated it.
    assert issuer.redeem(ticket, *BOUND)


def test_ticket_expires_after_lifetime(clock: Clock) -> None:
    issuer = Tickets(clock)
    early, late = issuer.issue(*BOUND), issuer.issue(*BOUND)
    clock.go_on(LIFETIME)
    assert issuer.redeem(early, *BOUND)
    clock.go_on(1)
    assert not issuer.redeem(late, *BOUND)


def test_redeemed_tickets_are_dropped_after_lifetime(clock: Clock) -> None:
    issuer = Tickets(clock)
    for _ in range(10):
        assert issuer.redeem(issuer.issue(*BOUND), *BOUND)
        clock.go_on(LIFETIME / 2 + 1)
        assert sum(map(len, issuer._redeemed.values())) <= 3


def test_redeemed_limit_drops_oldest_without_revalidating_tickets(clock: Clock) -> None:
    issuer = Tickets(clock, max_redeemed=100)
    honest = issuer.issue(*BOUND)
    used = []
    for _ in range(40):
        used += [issuer.issue(*BOUND) for _ in range(10)]
        assert all(issuer.redeem(each, *BOUND) for each in used[-10:])
        assert sum(map(len, issuer._redeemed.values())) <= 100
        clock.go_on(5)
    assert not any(issuer.redeem(each, *BOUND) for each in used)
    assert not issuer.redeem(honest, *BOUND)
    # A client that sends many forms does not invalidate the tickets of other clients.
    patient = issuer.issue(*BOUND)
    for _ in range(5):
        assert all(issuer.redeem(issuer.issue(*BOUND), *BOUND) for _ in range(10))
        clock.go_on(5)
    assert issuer.redeem(patient, *BOUND)


def test_redeemed_limit_exceeded_at_once_keeps_single_use(clock: Clock) -> None:
    issuer = Tickets(clock, max_redeemed=3)
    given = [issuer.issue(*BOUND) for _ in range(10)]
    good = [issuer.redeem(each, *BOUND) for each in given]
    assert good[:3] == [True] * 3
    assert not any(issuer.redeem(each, *BOUND) for each in given[:3])
    assert sum(good) + sum(issuer.redeem(each, *BOUND) for each in given) <= 10


def test_ticket_in_other_base64_spelling_is_refused() -> None:
    issuer = Tickets()
    for _ in range(50):
        ticket = issuer.issue(*BOUND)
        plain = ticket.replace("-", "+").replace("_", "/")
        assert issuer.redeem(plain, *BOUND) is (plain == ticket)
        assert issuer.redeem(ticket, *BOUND) is (plain != ticket)
        for other in (plain, ticket.swapcase(), f"{ticket[:-1]}=", ticket + "="):
            assert not issuer.redeem(other, *BOUND)


@given(st.text(max_size=64))
def test_redeem_any_text_is_refused(text: str) -> None:
    assert not Tickets().redeem(text, *BOUND)


@given(st.integers(0, TICKET_CHARACTERS - 1), st.characters(codec="ascii"))
def test_redeem_changed_ticket_is_refused(position: int, letter: str) -> None:
    issuer = Tickets()
    ticket = issuer.issue(*BOUND)
    changed = ticket[:position] + letter + ticket[position + 1 :]
    assert issuer.redeem(changed, *BOUND) is (changed == ticket)
