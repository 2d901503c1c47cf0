import platform
import subprocess
import sys

import pytest

from cisisk.appliance import process

HASH_ON_SEVERAL_THREADS = """
import asyncio

from cisisk.appliance import process
from cisisk.identity.passwords import Passwords


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


async def hash_passwords():
    passwords = Passwords()
    before = resident()
    await asyncio.gather(*(passwords.hash("correct horse") for _ in range(6)))
    print(resident() - before)


process.configure_malloc()
asyncio.run(hash_passwords())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries return large blocks by themselves")
def test_configure_malloc_releases_memory_of_hash_threads() -> None:
    # In a separate process: the setting cannot be undone.
    ended = subprocess.run([sys.executable, "-c", HASH_ON_SEVERAL_THREADS], capture_output=True, text=True, check=True)
    assert float(ended.stdout) < 10, "MiB; one hash takes 19"


def test_configure_malloc_without_mallopt_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def musl(name: object) -> object:
        asked.append(name)
        return object()

    monkeypatch.setattr("ctypes.CDLL", musl)
    process.configure_malloc()
    assert asked == [None]
