import hashlib
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from cisisk.model.errors import StorageFailed
from cisisk.model.mac import Mac
from cisisk.provisioning.contents import WHOLE_BYTES
from cisisk.provisioning.library import MAX_ADOPTED_BYTES, ChangedMeanwhile, Library, Snapshot
from cisisk.provisioning.source import NotServed
from tests.unit.full_disk import no_file_beyond

MAC = Mac("AABBCCDDEE01")
NAME = MAC.config_name
TWIN = NAME.lower()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "tftpboot"
    path.mkdir()
    return path


def served(library: Library, name: str = NAME) -> bytes | None:
    """Return the bytes that a client gets, or None."""
    try:
        content = library.open(name)
    except NotServed:
        return None
    try:
        return content.read(0, content.size)
    finally:
        content.close()


def files(root: Path) -> set[str]:
    """Return every file below the root."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def put(library: Library, content: bytes, name: str = NAME) -> None:
    library.replace(name, content, library.current(name))


def place(root: Path, name: str, content: bytes = b"content") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def seen(library: Library, name: str = NAME) -> Snapshot:
    found = library.current(name)
    assert found is not None
    return found


# Names


def test_absent_root_is_created_for_owner_only(tmp_path: Path) -> None:
    with closing(Library(tmp_path / "a" / "b")) as library:
        assert len(library) == 0
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_root_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    place(tmp_path, "file")
    with pytest.raises(StorageFailed, match=r"The served directory .*file cannot be used: File exists"):
        Library(tmp_path / "file")


def test_file_is_served_with_size_and_hash(root: Path) -> None:
    place(root, "Desktops/320x212x16/List.xml", b"0123456789")
    with closing(Library(root)) as library:
        content = library.open("desktops\\320X212X16\\LIST.xml")
        assert content.size == 10
        assert content.sha256 == hashlib.sha256(b"0123456789").hexdigest()
        assert content.read(0, 4) == b"0123"
        assert content.read(8, 4) == b"89"
        assert content.read(10, 4) == b""
        content.close()
        content.close()


def test_empty_file_is_served(root: Path, library: Library) -> None:
    place(root, "CTLFile.tlv", b"")
    library.refresh()
    assert served(library, "CTLFile.tlv") == b""


@pytest.mark.parametrize("name", [NAME, TWIN, f"/{NAME}", f"\\{NAME}", f"C:\\{TWIN}", NAME.swapcase()])
def test_spellings_of_name_open_same_file(library: Library, name: str) -> None:
    put(library, b"config")
    assert served(library, name) == b"config"


def test_refresh_finds_new_removed_and_changed_files(root: Path, library: Library) -> None:
    assert served(library, "dialplan.xml") is None
    place(root, "dialplan.xml", b"one")
    place(root, "Locale/mk-sip.jar", b"jar")
    library.refresh()
    assert (served(library, "dialplan.xml"), served(library, "locale/mk-sip.jar")) == (b"one", b"jar")
    place(root, "dialplan.xml", b"another")
    assert served(library, "dialplan.xml") == b"another"
    (root / "dialplan.xml").unlink()
    assert served(library, "dialplan.xml") is None
    library.refresh()
    assert len(library) == 1


def test_names_in_several_cases_serve_own_file(root: Path) -> None:
    place(root, TWIN, b"twin")
    place(root, NAME.upper(), b"shouted")
    place(root, NAME, b"ours")
    place(root, "ringlist.xml", b"small")
    place(root, "RINGLIST.XML", b"LARGE")
    with closing(Library(root)) as library:
        assert served(library, TWIN) == b"ours"
        assert served(library, "Ringlist.xml") == b"LARGE"
        assert len(library) == 2
        (root / NAME).unlink()
        library.refresh()
        assert served(library) == b"shouted"


def test_root_may_be_a_symlink(tmp_path: Path, root: Path) -> None:
    place(root, "dialplan.xml")
    (tmp_path / "link").symlink_to(root)
    with closing(Library(tmp_path / "link")) as library:
        assert served(library, "dialplan.xml") == b"content"


# Unreadable files


def _link_to_a_file_outside(path: Path) -> None:
    path.symlink_to(place(path.parents[1], "outside/secret", b"secret"))


def _link_to_a_file_inside(path: Path) -> None:
    path.symlink_to(place(path.parent, "other.xml", b"secret"))


def _link_into_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _directory(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextmanager(_from)(path.parent):
        listener.bind(path.name)


def _from(directory: Path) -> Iterator[None]:
    """Work below ``directory``: the path of a socket has at most 107 bytes."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root can make a device")


NO_FILES: list[Callable[[Path], None]] = [
    _link_to_a_file_outside,
    _link_to_a_file_inside,
    _link_into_nothing,
    _link_to_itself,
    _directory,
    _pipe,
    _socket,
    _device,
]


@pytest.mark.parametrize("make", NO_FILES)
def test_only_regular_files_are_served(root: Path, library: Library, make: Callable[[Path], None]) -> None:
    make(root / "thing.xml")
    library.refresh()
    assert served(library, "thing.xml") is None
    assert library.current("thing.xml") is None


@pytest.mark.parametrize("make", NO_FILES)
def test_other_object_in_place_of_a_file_is_not_served(
    root: Path, library: Library, make: Callable[[Path], None]
) -> None:
    place(root, "thing.xml")
    library.refresh()
    before = descriptors()
    (root / "thing.xml").unlink()
    make(root / "thing.xml")
    assert served(library, "thing.xml") is None
    assert library.current("thing.xml") is None
    assert descriptors() == before


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_symlink_to_directory_is_not_followed(tmp_path: Path, root: Path, depth: int, when: str) -> None:
    place(tmp_path, "outside/b/file.xml", b"secret")
    inside = root / "/".join("ab"[:depth])
    if when == "after":
        place(root, "a/b/file.xml", b"secret")
    with closing(Library(root)) as library:
        if when == "after":
            assert served(library, "a/b/file.xml") == b"secret"
            inside.rename(tmp_path / "moved")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.symlink_to(tmp_path / ("outside" if depth == 1 else "outside/b"))
        before = descriptors()
        assert served(library, "a/b/file.xml") is None
        library.refresh()
        assert served(library, "a/b/file.xml") is None
        assert descriptors() == before


def test_file_in_place_of_directory_is_not_found(root: Path, library: Library) -> None:
    place(root, "a/file.xml")
    library.refresh()
    (root / "a" / "file.xml").unlink()
    (root / "a").rmdir()
    place(root, "a")
    assert served(library, "a/file.xml") is None


@pytest.mark.parametrize(
    "name", [".hidden", ".hidden.d/file.xml", "a/.hidden", "a/b/c/d/e/f.xml", "line\nbreak", "c1\x85control"]
)
def test_hidden_and_deep_files_are_not_served(root: Path, library: Library, name: str) -> None:
    place(root, name)
    library.refresh()
    assert len(library) == 0
    assert served(library, name) is None


@pytest.mark.parametrize(
    "name",
    [
        "../tftpboot-private/secret.xml",
        "..\\tftpboot-private\\secret.xml",
        "-private/secret.xml",
        "{parent}/tftpboot-private/secret.xml",
        "{parent}/tftpboot/../tftpboot-private/secret.xml",
        "/etc/passwd",
        "C:/etc/passwd",
        "",
        ".",
        "/",
        ".cisisk",
        "x" * 5000,
        "a\0b",
    ],
)
def test_name_outside_root_is_not_found(tmp_path: Path, root: Path, name: str) -> None:
    place(tmp_path, "tftpboot-private/secret.xml", b"secret")
    with closing(Library(root)) as library:
        assert served(library, name.replace("{parent}", str(tmp_path))) is None


def test_failed_opening_leaves_no_descriptor(root: Path, library: Library) -> None:
    place(root, "a/b/file.xml")
    place(root, "large", b"x" * (WHOLE_BYTES + 1))
    library.refresh()
    before = descriptors()
    for name in ("a/b/file.xml", "a/b/absent.xml", "a/b", "large", NAME):
        served(library, name)
        library.current(name)
    put(library, b"config")
    assert descriptors() == before


# Replacement


def test_first_config_is_readable_by_owner_only(root: Path, library: Library) -> None:
    assert library.current(NAME) is None
    library.replace(NAME, b"config", None)
    assert served(library) == b"config"
    assert files(root) == {NAME}
    assert (root / NAME).stat().st_mode & 0o777 == 0o600


def test_current_returns_path_and_hash(root: Path, library: Library) -> None:
    place(root, TWIN, b"twin")
    found = seen(library)
    assert (found.path, found.content, found.sha256) == (TWIN, b"twin", hashlib.sha256(b"twin").hexdigest())


def test_config_can_be_replaced_repeatedly(root: Path, library: Library) -> None:
    for content in (b"one", b"", b"x" * WHOLE_BYTES, b"two"):
        put(library, content)
        assert served(library) == content
        assert files(root) == {NAME}


def test_current_finds_a_new_file_without_refresh(root: Path, library: Library) -> None:
    place(root, NAME, b"foreign")
    assert seen(library).content == b"foreign"


def test_twins_in_other_letters_are_gone_after_their_adoption(root: Path, library: Library) -> None:
    place(root, TWIN, b"twin")
    library.replace(NAME, b"ours", seen(library))
    assert files(root) == {NAME}
    assert served(library, TWIN) == b"ours"
    library.refresh()
    assert served(library, TWIN) == b"ours"


def test_file_is_found_while_its_twin_is_replaced(
    root: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(root, TWIN, b"twin")
    known = seen(library)
    open_ = library._open

    def overtaken(path: str) -> tuple[int, os.stat_result] | None:
        """Replace the file between finding the path and opening it."""
        monkeypatch.setattr(library, "_open", open_)
        library.replace(NAME, b"ours", known)
        return open_(path)

    monkeypatch.setattr(library, "_open", overtaken)
    assert served(library) == b"ours"


def test_transfer_keeps_its_first_version(library: Library) -> None:
    large = b"a" * (WHOLE_BYTES + 1)
    for old in (b"old", large):
        put(library, old)
        content = library.open(NAME)
        put(library, b"new")
        assert served(library) == b"new"
        assert content.read(0, content.size) == old
        content.close()


def test_large_file_is_read_in_pieces_from_its_descriptor(root: Path, library: Library) -> None:
    pieces = [bytes([number]) * 4096 for number in range(256)]
    place(root, "firmware.sbn", b"".join(pieces) + b"end")
    library.refresh()
    content = library.open("firmware.sbn")
    assert (content.size, content.sha256) == (WHOLE_BYTES + 3, None)
    assert [content.read(4096 * number, 4096) for number in range(256)] == pieces
    assert content.read(WHOLE_BYTES, 4096) == b"end"
    (root / "firmware.sbn").unlink()
    assert content.read(4096, 2) == b"\x01\x01"
    content.close()
    content.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        content.read(0, 1)


def test_file_of_largest_cached_size_is_hashed(root: Path, library: Library) -> None:
    place(root, "largest", b"x" * WHOLE_BYTES)
    library.refresh()
    assert library.open("largest").sha256 == hashlib.sha256(b"x" * WHOLE_BYTES).hexdigest()


def test_current_refuses_a_file_too_large_for_a_config(root: Path, library: Library) -> None:
    with place(root, NAME, b"").open("r+b") as file:
        file.truncate(MAX_ADOPTED_BYTES)
    assert len(seen(library).content) == MAX_ADOPTED_BYTES
    with (root / NAME).open("r+b") as file:
        file.truncate(MAX_ADOPTED_BYTES + 1)
    with pytest.raises(StorageFailed, match=f"{NAME} has {MAX_ADOPTED_BYTES + 1} bytes, too many for a config"):
        library.current(NAME)


# Concurrent changes by other programs


def _overwritten(root: Path) -> None:
    (root / NAME).write_bytes(b"other")


def _appended(root: Path) -> None:
    with (root / NAME).open("ab") as file:
        file.write(b"!")


def _replaced(root: Path) -> None:
    place(root, "new", b"other").rename(root / NAME)


def _linked(root: Path) -> None:
    (root / NAME).unlink()
    (root / NAME).symlink_to(place(root, "other.xml"))


@pytest.mark.parametrize("change", [_overwritten, _appended, _replaced, _linked])
def test_changed_file_is_not_replaced(root: Path, library: Library, change: Callable[[Path], None]) -> None:
    place(root, NAME, b"first")
    known = seen(library)
    change(root)
    left = (root / NAME).read_bytes()
    with pytest.raises(ChangedMeanwhile, match=f"Another program has just changed {NAME}"):
        library.replace(NAME, b"ours", known)
    assert (root / NAME).read_bytes() == left
    assert not any(path.is_file() for path in root.rglob(".cisisk*/*"))


def test_new_foreign_file_is_not_replaced(root: Path, library: Library) -> None:
    assert library.current(NAME) is None
    place(root, NAME, b"foreign")
    with pytest.raises(ChangedMeanwhile):
        library.replace(NAME, b"ours", None)
    assert files(root) == {NAME}
    library.replace(NAME, b"ours", seen(library))
    assert served(library) == b"ours"


def test_new_foreign_file_beside_twin_is_not_replaced(root: Path, library: Library) -> None:
    place(root, TWIN, b"twin")
    known = seen(library)
    place(root, NAME, b"foreign")
    with pytest.raises(ChangedMeanwhile):
        library.replace(NAME, b"ours", known)
    assert (root / NAME).read_bytes() == b"foreign"
    assert (root / TWIN).read_bytes() == b"twin"


def test_removed_file_is_written_again(root: Path, library: Library) -> None:
    place(root, NAME, b"first")
    known = seen(library)
    (root / NAME).unlink()
    library.replace(NAME, b"ours", known)
    assert served(library) == b"ours"


def test_put_replaces_a_link_without_following_it(tmp_path: Path, root: Path, library: Library) -> None:
    precious = place(tmp_path, "precious", b"precious")
    (root / NAME).symlink_to(precious)
    put(library, b"ours")
    assert served(library) == b"ours"
    assert precious.read_bytes() == b"precious"


def test_directory_in_place_of_the_file_is_a_storage_failure(root: Path, library: Library) -> None:
    (root / NAME).mkdir()
    with pytest.raises(StorageFailed, match=f"{NAME} could not be written"):
        put(library, b"ours")
    assert files(root) == set()


def test_concurrent_writers_of_one_version_succeed_once(library: Library) -> None:
    put(library, b"first")
    known = seen(library)
    start, outcomes = threading.Barrier(2), []

    def replace(content: bytes) -> None:
        start.wait()
        try:
            library.replace(NAME, content, known)
            outcomes.append(content)
        except ChangedMeanwhile:
            outcomes.append(b"")

    threads = [threading.Thread(target=replace, args=(content,)) for content in (b"one", b"two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(outcomes) == b""
    assert served(library) == max(outcomes) != b""


def test_concurrent_readers_see_whole_files(library: Library) -> None:
    put(library, b"0" * 3000)
    over, wrong, reads = threading.Event(), [], [0, 0]

    def read(reader: int) -> None:
        # A short pause lets the writer get the GIL.
        while not over.wait(1e-5):
            content = served(library, TWIN if reader else NAME)
            reads[reader] += 1
            if content is None or len(set(content)) != 1 or len(content) != 3000 + content[0] - ord("0"):
                wrong.append(content)

    def look_again() -> None:
        while not over.wait(0.001):
            library.refresh()

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(2)]
    threads.append(threading.Thread(target=look_again))
    for thread in threads:
        thread.start()
    try:
        for number in range(1000):
            digit = ord("0") + number % 10
            put(library, bytes([digit]) * (3000 + digit - ord("0")))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert min(reads) > 100


# Failures of the disk and the system


WRITE = """
import sys
from pathlib import Path
from cisisk.provisioning.library import Library

library = Library(Path(sys.argv[1]))
for number in range(1_000_000):
    library.replace(sys.argv[2], bytes([number % 256]) * 200_000, library.current(sys.argv[2]))
    print(flush=True)
"""


@pytest.mark.parametrize("writes", [1, 3, 7])
def test_killed_writer_leaves_one_complete_version(root: Path, writes: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(root), NAME], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    for _ in range(writes):
        writer.stdout.readline()
    writer.kill()
    writer.communicate()
    with closing(Library(root)) as library:
        content = served(library)
    assert content is not None
    assert (len(content), len(set(content))) == (200_000, 1)
    assert files(root) == {NAME}


def test_incomplete_file_of_a_killed_writer_is_deleted_at_start(root: Path, library: Library) -> None:
    library.staged(NAME, b"half")
    (left,) = files(root)
    assert served(library, left) is None
    with closing(Library(root)) as again:
        assert len(again) == 0
    assert files(root) == set()


def test_full_disk_keeps_the_old_content(root: Path, library: Library) -> None:
    put(library, b"old")
    before = descriptors()
    with no_file_beyond(10_000), pytest.raises(StorageFailed, match=f"{NAME} could not be written: File too large"):
        put(library, b"x" * 20_000)
    assert served(library) == b"old"
    assert files(root) == {NAME}
    assert descriptors() == before
    put(library, b"x" * 20_000)
    assert served(library) == b"x" * 20_000


UNWRITABLE = """
import os, sys
from pathlib import Path
from cisisk.model.errors import StorageFailed
from cisisk.provisioning.library import Library

root, locked = Path(sys.argv[1]), sys.argv[2:]
library = Library(root)
library.replace("a.xml", b"old", None)
(root / "a.xml").chmod(0o644)
for folder in [root, *(path for path in root.iterdir() if path.is_dir())]:
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    if folder == root or "all" in locked:
        folder.chmod(0o555)
if os.geteuid() == 0:
    os.setuid(65534)
known = library.current("a.xml")
for name, seen in (("a.xml", known), ("b.xml", None)):
    try:
        library.replace(name, b"new", seen)
    except StorageFailed as error:
        print(error)
content = library.open("A.XML")
print(content.read(0, content.size).decode())
"""


@pytest.mark.parametrize("locked", ["all", "root"])
def test_read_only_directory_keeps_the_old_content(root: Path, locked: str) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNWRITABLE, str(root), locked], capture_output=True, text=True, check=True
        )
    finally:
        for folder in (root, *(path for path in root.iterdir() if path.is_dir())):
            folder.chmod(0o755)
    assert done.stdout.splitlines() == [
        "a.xml could not be written: Permission denied",
        "b.xml could not be written: Permission denied",
        "old",
    ]
    assert files(root) == {"a.xml"}


def test_descriptors_running_out_is_no_absence(root: Path, library: Library) -> None:
    place(root, "dialplan.xml")
    library.refresh()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 2, hard))
    try:
        with suppress(OSError):
            held.extend(os.open(root, os.O_RDONLY) for _ in range(64))
        with pytest.raises(OSError, match="Too many open files"):
            library.open("dialplan.xml")
        with pytest.raises(StorageFailed, match=r"dialplan\.xml cannot be read: Too many open files"):
            library.current("dialplan.xml")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)
    assert served(library, "dialplan.xml") == b"content"


def test_staging_folder_is_emptied_at_start(tmp_path: Path) -> None:
    folder = tmp_path / ".cisisk" / "foreign" / "folder"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"left")
    (tmp_path / ".cisisk" / "half").write_bytes(b"a confi")
    with closing(Library(tmp_path)):
        assert list((tmp_path / ".cisisk").iterdir()) == []


def test_library_follows_a_replaced_root(root: Path, library: Library, tmp_path: Path) -> None:
    place(root, NAME, b"old")
    library.refresh()
    root.rename(tmp_path / "moved")
    root.mkdir()
    place(root, NAME, b"new")
    library.refresh()
    assert served(library) == b"new"
    put(library, b"newest")
    assert (root / NAME).read_bytes() == b"newest"
    assert (tmp_path / "moved" / NAME).read_bytes() == b"old"


def test_library_whose_root_was_moved_away_refuses_to_write(root: Path, library: Library, tmp_path: Path) -> None:
    place(root, NAME, b"old")
    library.refresh()
    known = seen(library)
    root.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        library.refresh()
    with pytest.raises(StorageFailed, match="was moved away or deleted"):
        library.current(NAME)
    with pytest.raises(StorageFailed, match="was moved away or deleted"):
        library.replace(NAME, b"new", known)
    assert served(library) == b"old"
    (tmp_path / "moved").rename(root)
    library.refresh()
    put(library, b"new")
    assert (root / NAME).read_bytes() == b"new"


def test_library_does_not_write_into_a_replaced_root(root: Path, library: Library, tmp_path: Path) -> None:
    staged = library.staged(NAME, b"new")
    root.rename(tmp_path / "moved")
    root.mkdir()
    with pytest.raises(StorageFailed, match="was replaced a moment ago"):
        library.publish([(staged, NAME)])
    assert files(tmp_path / "moved") == {f".cisisk/{staged.name}"}


UNREADABLE = """
import logging, os, sys
from pathlib import Path
from cisisk.model.mac import Mac
from cisisk.provisioning.library import Library, Unreadable

logging.basicConfig(format="%(message)s", stream=sys.stdout)
root = Path(sys.argv[1])
os.chown(root, 65534, 65534)
(root / "locked").mkdir(mode=0o700)
(root / "locked" / "a.jar").write_bytes(b"")
for name in ("SEPAABBCCDDEE01.cnf.xml", "b.xml"):
    (root / name).write_bytes(b"secret")
    (root / name).chmod(0o600)
library = Library(root)
os.chown(root / ".cisisk", 65534, 65534)
os.setgid(65534)
os.setuid(65534)
library.refresh()
print(*library.unreadable)
for name in ("SEPAABBCCDDEE01.cnf.xml", "b.xml", "SEPAABBCCDDEE01.cnf.xml"):
    try:
        library.open(name)
    except PermissionError:
        pass
try:
    library.current("SEPAABBCCDDEE01.cnf.xml")
except Unreadable as error:
    print(error.path)
print(library.replaceable_config(Mac("AABBCCDDEE01")))
library.replace("SEPAABBCCDDEE01.cnf.xml", b"new", None)
content = library.open("SEPAABBCCDDEE01.cnf.xml")
print(content.read(0, content.size).decode(), *library.unreadable)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_unreadable_file_is_named_once_and_replaced(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", UNREADABLE, str(root)], capture_output=True, text=True, check=True)
    first, opened, path, moved, nothing, last = done.stdout.splitlines()
    assert first == "SEPAABBCCDDEE01.cnf.xml b.xml locked"
    assert opened == "file not opened: name='SEPAABBCCDDEE01.cnf.xml' error='Permission denied'"
    assert path == "SEPAABBCCDDEE01.cnf.xml"
    assert moved.startswith(
        "file not readable, moved away: path=SEPAABBCCDDEE01.cnf.xml to=.set-aside/SEPAABBCCDDEE01.cnf.xml."
    )
    assert nothing == "None"
    assert last == "new b.xml locked"
    [kept] = (root / ".set-aside").iterdir()
    assert kept.read_bytes() == b"secret"


SIGNPOST = b"<device><loadInformation>P0S3-8-12-00</loadInformation></device>"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"SEP{}.cnf.xml": b"<device/>"}, "SEP{}.cnf.xml"),
        ({"SEP{}.cnf.xml": b"<device/>", "SIP{}.cnf": b"line1_name: 1"}, "SEP{}.cnf.xml"),
        ({"SEP{}.cnf.xml": SIGNPOST, "SIP{}.cnf": b"line1_name: 1"}, "SIP{}.cnf"),
        ({"SEP{}.cnf.xml": SIGNPOST}, None),
        ({"ATA{}.cnf.xml": b"<device/>"}, "ATA{}.cnf.xml"),
        ({"sip{}.cnf": b"line1_name: 1"}, "sip{}.cnf"),
    ],
)
def test_current_config_is_the_file_that_the_phone_reads(
    library: Library, root: Path, files: dict[str, bytes], found: str | None
) -> None:
    mac = Mac("AABBCCDDEE01")
    for name, content in files.items():
        (root / name.format(mac.digits)).write_bytes(content)
    library.refresh()
    current = library.current_config(mac)
    assert (current.path if current else None) == (found and found.format(mac.digits))
