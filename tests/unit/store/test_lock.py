import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cisisk.model.errors import StartRefused
from cisisk.store import lock

HOLD = """
import sys
from pathlib import Path
from cisisk.store import lock

with lock.exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
NOBODY = 65534


@contextmanager
def holder(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_second_process_is_refused_with_number_of_first(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(StartRefused, match=rf"already runs on {tmp_path} \(process {process.pid}\)"):
            lock.exclusive(tmp_path).__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
        with lock.exclusive(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_lock_is_released_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with lock.exclusive(tmp_path), pytest.raises(StartRefused, match=f"process {os.getpid()}"):
            lock.exclusive(tmp_path).__enter__()


def test_shorter_process_number_leaves_no_old_digits(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("99999999999999999999\n")
    with lock.exclusive(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_refusal_without_written_number_names_no_process(tmp_path: Path) -> None:
    with lock.exclusive(tmp_path):
        os.truncate(tmp_path / "lock", 0)
        with pytest.raises(StartRefused, match=r"\(process unknown\)"):
            lock.exclusive(tmp_path).__enter__()


def test_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    with lock.exclusive(tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", "input(print(flush=True))"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        with lock.exclusive(tmp_path):
            assert child.poll() is None
    finally:
        child.communicate(b"\n")


def test_symbolic_link_as_lock_file_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(StartRefused, match=r"lock cannot be opened"):
        lock.exclusive(tmp_path).__enter__()
    assert target.read_text() == "precious"


def test_absent_directory_is_created_for_owner_only(tmp_path: Path) -> None:
    lock.prepare(tmp_path / "var" / "cisisk")
    assert (tmp_path / "var" / "cisisk").stat().st_mode & 0o777 == 0o700
    lock.prepare(tmp_path / "var" / "cisisk")


def test_file_instead_of_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StartRefused, match=r"data cannot be made: File exists\. Set data\.dir"):
        lock.prepare(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_user_is_refused_with_remedy(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(StartRefused, match=r"belongs to another user.*Run this as that user"):
        lock.prepare(tmp_path)


PREPARE = f"""
import os, sys
from pathlib import Path
from cisisk.model.errors import StartRefused
from cisisk.store import lock

os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setuid({NOBODY})
try:
    lock.prepare(Path("data"))
except StartRefused as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("exists", "answer"),
    [
        (True, "is not writable for this user. Change its owner or data.dir"),
        (False, "cannot be made: Permission denied"),
    ],
)
def test_unwritable_directory_is_refused_with_remedy(tmp_path: Path, exists: bool, answer: str) -> None:
    if exists:
        (tmp_path / "data").mkdir(mode=0o555)
    tmp_path.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", PREPARE, str(tmp_path)], capture_output=True, text=True, check=True
        )
    finally:
        tmp_path.chmod(0o755)
    assert answer in done.stdout
