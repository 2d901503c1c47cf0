import asyncio
import errno
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from cisisk.adoption.configs import ConfigAdoption
from cisisk.adoption.served_directory import ServedDirectory
from cisisk.model.codes.served_directory import ServedDirectoryProblem
from cisisk.model.mac import Mac
from cisisk.model.user import SYSTEM
from cisisk.provisioning import library as libraries
from cisisk.provisioning.library import Library
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.store import phones
from cisisk.store.database import Database
from tests.patience import PATIENCE

MACS = [Mac(f"AABBCCDDEE{number:02X}") for number in range(20)]
CONFIG = b"<device><a>1</a></device>"


@pytest.fixture
async def library(root: Path) -> AsyncIterator[Library]:
    with closing(Library(root)) as opened:
        yield opened


@pytest.fixture
async def adoption(db: Database, library: Library) -> ConfigAdoption:
    made = ConfigAdoption(db, library, PhoneLocks(), 1000)
    for mac in MACS:
        await made.put(SYSTEM, mac, CONFIG)
    return made


@pytest.fixture
def directory(library: Library, adoption: ConfigAdoption) -> ServedDirectory:
    return ServedDirectory(library, adoption, 5.0)


def fail(monkeypatch: pytest.MonkeyPatch, function: str, number: int) -> None:
    """Let a function of the library fail as the system would."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(libraries, function, refuse)


def lock(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the files unreadable for this process, root included."""
    for path in root.glob("*.xml"):
        path.chmod(0o600)
    fail(monkeypatch, "open_below", errno.EACCES)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)


def unlock(root: Path) -> None:
    with suppress(FileNotFoundError):
        (root.parent / "moved").rename(root)
    for path in root.glob("*.xml"):
        path.chmod(0o644)


def code_of(directory: ServedDirectory) -> str | None:
    return None if directory.problem is None else directory.problem.code


Break = Callable[[Path, pytest.MonkeyPatch], object]
BREAKS: list[tuple[Break, str]] = [
    (lock, ServedDirectoryProblem.FILES_UNREADABLE),
    (lambda root, _: root.rename(root.parent / "moved"), ServedDirectoryProblem.GONE),
    (lambda _, patch: fail(patch, "regular_files", errno.EIO), ServedDirectoryProblem.FAILED),
    (lambda _, patch: fail(patch, "_stamp", errno.ESTALE), ServedDirectoryProblem.FAILED),
]


@pytest.mark.parametrize(("damage", "code"), BREAKS)
async def test_broken_directory_has_one_log_line_and_recovers(
    directory: ServedDirectory,
    root: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    damage: Break,
    code: str,
) -> None:
    await directory.look()
    assert code_of(directory) is None
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        damage(root, patch)
        for _ in range(3):
            await directory.look()
            assert code_of(directory) == code
        assert len([record for record in caplog.records if "not readable" in record.message]) == 1
        # One line for all configs that no phone gets any more.
        assert len(caplog.records) <= 2
    unlock(root)
    await directory.look()
    assert code_of(directory) is None


async def test_unreadable_config_shows_as_drift(
    db: Database, directory: ServedDirectory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await directory.look()
    with monkeypatch.context() as patch:
        lock(root, patch)
        await directory.look()
        phone = await db.read(phones.get, MACS[0])
        assert (phone.served_sha256, phone.drifted_at is not None) == (None, True)
    unlock(root)
    await directory.look()
    assert (await db.read(phones.get, MACS[0])).served_sha256 is not None


async def test_unreadable_config_is_replaced_by_upload(
    adoption: ConfigAdoption, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        lock(root, patch)
        await adoption.put(SYSTEM, MACS[0], CONFIG + b"\n")
    assert (root / MACS[0].config_name).read_bytes() == CONFIG + b"\n"
    [kept] = (root / libraries.SET_ASIDE).iterdir()
    assert kept.read_bytes() == CONFIG


async def test_directory_that_does_not_answer_is_a_problem_until_it_does(
    library: Library, adoption: ConfigAdoption, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    is_there, refresh = threading.Event(), library.refresh

    def wait() -> None:
        is_there.wait(PATIENCE)
        refresh()

    monkeypatch.setattr(library, "refresh", wait)
    directory = ServedDirectory(library, adoption, 0.01, answer_seconds=0.01)
    following = asyncio.create_task(directory.run())
    async with asyncio.timeout(PATIENCE):
        while code_of(directory) != ServedDirectoryProblem.NOT_ANSWERING:
            await asyncio.to_thread(is_there.wait, 0.01)
        is_there.set()
        while directory.problem is not None:
            await asyncio.to_thread(is_there.wait, 0.01)
    following.cancel()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "served directory not readable",
        "served directory can be read again",
    ]
