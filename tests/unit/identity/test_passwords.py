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
    """What has really been hashed and compared."""
    pairs: list[tuple[str, str]] = []
    verify: Callable[[str, str], bool] = passwords._verify

    def seen(secret: str, known: str) -> bool:
        pairs.append((secret, known))
        return verify(secret, known)

    monkeypatch.setattr(passwords, "_verify", seen)
    return pairs


@pytest.mark.parametrize("secret", ["", "1234", "correct horse", "Zoë \N{SNOWMAN} \0", "x" * MAX_SECRET_BYTES])
async def test_a_secret_matches_its_own_hash_only(passwords: Passwords, secret: str) -> None:
    known = await passwords.hash(secret)
    assert known.startswith("$argon2id$")
    assert secret == "" or secret not in known
    assert await passwords.matches(secret, known)
    assert not await passwords.matches(secret[:-1] + "!", known)


async def test_hashes_of_another_cost_are_verified_and_told_apart() -> None:
    passwords, pins = Passwords(PASSWORD), Passwords(PIN)
    for one, other in ((passwords, pins), (pins, passwords)):
        known = await one.hash("2468")
        assert await other.matches("2468", known)
        assert not await other.matches("2469", known)
        assert (one.is_outdated(known), other.is_outdated(known)) == (False, True)


async def test_hashing_stands_back_behind_everything_else() -> None:
    niceness: list[int] = []

    def look() -> None:
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    await asyncio.get_running_loop().run_in_executor(Passwords()._threads, look)
    assert niceness[0] == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)


async def test_no_two_hashes_are_alike(passwords: Passwords) -> None:
    assert await passwords.hash("same") != await passwords.hash("same")


async def test_a_secret_nobody_has_takes_the_same_way_as_a_wrong_one(
    passwords: Passwords, compared: list[tuple[str, str]]
) -> None:
    known = await passwords.hash("right")
    assert not await passwords.matches("wrong", known)
    assert not await passwords.matches("wrong", None)
    assert compared == [("wrong", known), ("wrong", passwords._nobodys)]
    parameters = {pair[1].rpartition("$")[0].rpartition("$")[0] for pair in compared}
    assert len(parameters) == 1
    assert len({len(pair[1]) for pair in compared}) == 1
    with pytest.raises(VerifyMismatchError):  # and not that it is malformed, which is found out in no time
        passwords._hasher.verify(passwords._nobodys, "wrong")


async def test_even_who_guesses_the_secret_of_nobody_is_nobody(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_nobodys", await passwords.hash("guessed"))
    assert not await passwords.matches("guessed", None)


@pytest.mark.parametrize("secret", ["x" * (MAX_SECRET_BYTES + 1), "ü" * (MAX_SECRET_BYTES // 2 + 1), "half \ud800"])
async def test_what_is_too_long_or_no_text_is_never_right_and_takes_the_same_way(
    passwords: Passwords, compared: list[tuple[str, str]], secret: str
) -> None:
    assert not await passwords.matches(secret, await passwords.hash(""))
    assert compared == [("", passwords._nobodys)]


@pytest.mark.parametrize("secret", ["x" * (MAX_SECRET_BYTES + 1), "half \ud800"])
async def test_what_could_never_match_is_not_hashed(passwords: Passwords, secret: str) -> None:
    with pytest.raises(Invalid, match="at most 1024 bytes") as refused:
        await passwords.hash(secret)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "known", ["", "plain text", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abcdefghijklmnopqrstuv"]
)
async def test_what_is_no_hash_matches_nothing(passwords: Passwords, known: str) -> None:
    assert not await passwords.matches("plain text", known)


async def test_only_so_many_are_hashed_at_once_and_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords()
    known = await passwords.hash("right")
    verify: Callable[[str, str], bool] = passwords._verify
    at_once, most, counting = 0, 0, threading.Lock()

    def counted(secret: str, hashed: str) -> bool:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        try:
            return verify(secret, hashed)
        finally:
            with counting:
                at_once -= 1

    monkeypatch.setattr(passwords, "_verify", counted)
    ticks = 0
    attempts = asyncio.gather(*(passwords.matches("wrong", known) for _ in range(8)))
    while not attempts.done():
        ticks += 1
        await asyncio.sleep(0)
    assert await attempts == [False] * 8
    assert most == 2
    assert ticks > 20
