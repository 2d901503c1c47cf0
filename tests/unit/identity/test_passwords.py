import asyncio
import os
import threading
from collections.abc import Callable

import pytest
from argon2.exceptions import VerifyMismatchError

from cisisk.identity.passwords import MAX_SECRET_BYTES, PASSWORD, PIN, Passwords
from cisisk.model.errors import Invalid


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords()


@pytest.fixture
def compared(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The verified pairs of secret and hash."""
    pairs: list[tuple[str, str]] = []
    verify: Callable[[str, str], bool] = passwords._verify

    def seen(secret: str, known: str) -> bool:
        pairs.append((secret, known))
        return verify(secret, known)

    monkeypatch.setattr(passwords, "_verify", seen)
    return pairs


@pytest.mark.parametrize("secret", ["", "1234", "correct horse", "Zoë \N{SNOWMAN} \0", "x" * MAX_SECRET_BYTES])
async def test_matches_only_own_hash(passwords: Passwords, secret: str) -> None:
    known = await passwords.hash(secret)
    assert known.startswith("$argon2id$")
    assert secret == "" or secret not in known
    assert await passwords.matches(secret, known)
    assert not await passwords.matches(secret[:-1] + "!", known)


async def test_matches_hash_of_other_cost_and_reports_it_outdated() -> None:
    passwords, pins = Passwords(PASSWORD), Passwords(PIN)
    for one, other in ((passwords, pins), (pins, passwords)):
        known = await one.hash("2468")
        assert await other.matches("2468", known)
        assert not await other.matches("2469", known)
        assert (one.is_outdated(known), other.is_outdated(known)) == (False, True)


async def test_hash_threads_run_at_lower_priority() -> None:
    niceness: list[int] = []

    def look() -> None:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    await asyncio.get_running_loop().run_in_executor(Passwords()._threads, look)
    assert niceness[0] == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)


async def test_hash_twice_gives_different_hashes(passwords: Passwords) -> None:
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_matches_unknown_user_does_same_work_as_wrong_secret(
    passwords: Passwords, compared: list[tuple[str, str]]
) -> None:
    known = await passwords.hash("right")
    assert not await passwords.matches("wrong", known)
    assert not await passwords.matches("wrong", None)
    assert compared == [("wrong", known), ("wrong", passwords._dummy_hash)]
    parameters = {pair[1].rpartition("$")[0].rpartition("$")[0] for pair in compared}
    assert len(parameters) == 1
    assert len({len(pair[1]) for pair in compared}) == 1
    with pytest.raises(VerifyMismatchError):  # a malformed hash would be refused without computing
        passwords._hasher.verify(passwords._dummy_hash, "wrong")


async def test_matches_unknown_user_refuses_secret_of_dummy_hash(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_dummy_hash", await passwords.hash("guessed"))
    assert not await passwords.matches("guessed", None)


@pytest.mark.parametrize("secret", ["x" * (MAX_SECRET_BYTES + 1), "ü" * (MAX_SECRET_BYTES // 2 + 1), "half \ud800"])
async def test_matches_invalid_secret_is_refused_with_same_work(
    passwords: Passwords, compared: list[tuple[str, str]], secret: str
) -> None:
    assert not await passwords.matches(secret, await passwords.hash(""))
    assert compared == [("", passwords._dummy_hash)]


@pytest.mark.parametrize("secret", ["x" * (MAX_SECRET_BYTES + 1), "half \ud800"])
async def test_hash_invalid_secret_raises_invalid(passwords: Passwords, secret: str) -> None:
    with pytest.raises(Invalid, match="at most 1024 bytes") as refused:
        await passwords.hash(secret)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "known", ["", "plain text", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abcdefghijklmnopqrstuv"]
)
async def test_matches_malformed_hash_returns_false(passwords: Passwords, known: str) -> None:
    assert not await passwords.matches("plain text", known)


async def test_concurrent_hashes_are_limited_without_blocking_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords()
    known = await passwords.hash("right")
    verify: Callable[[str, str], bool] = passwords._verify
    current, highest, counting = 0, 0, threading.Lock()

    def counted(secret: str, hashed: str) -> bool:
        nonlocal current, highest
        with counting:
            current += 1
            highest = max(highest, current)
        try:
            return verify(secret, hashed)
        finally:
            with counting:
                current -= 1

    monkeypatch.setattr(passwords, "_verify", counted)
    ticks = 0
    attempts = asyncio.gather(*(passwords.matches("wrong", known) for _ in range(8)))
    while not attempts.done():
        ticks += 1
        await asyncio.sleep(0)
    assert await attempts == [False] * 8
    assert highest == 2
    assert ticks > 20
