import hashlib
import os
from pathlib import Path

import pytest

from cisisk.provisioning.contents import LONGEST_READ_AHEAD, SHORTEST_READ_AHEAD, WHOLE_BYTES, Contents
from cisisk.provisioning.library import Library

LONG_AGO = 1_000_000_000
OLD_AT_ONCE = -(10**18)
"""Nanoseconds after which a file counts as settled. 0, because a test cannot set the ctime."""


def write(path: Path, content: bytes) -> None:
    """Write a file whose times are old."""
    path.write_bytes(content)
    os.utime(path, (LONG_AGO, LONG_AGO))


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture(name="library")
def library_of(tmp_path: Path) -> Library:
    return Library(tmp_path, cache_bytes=10_000, settled_ns=OLD_AT_ONCE)


def put(library: Library, root: Path, **files: bytes) -> None:
    for name, content in files.items():
        write(root / name, content)
    library.refresh()


def test_readers_share_one_content(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"x" * 6000)
    first, second = library.open("a"), library.open("a")
    assert first.read(0, first.read_ahead) is second.read(0, second.read_ahead)
    assert library._contents.kept == 6000
    assert first.sha256 == second.sha256 == hashlib.sha256(b"x" * 6000).hexdigest()


def test_content_stays_in_memory_for_the_next_reader(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"x" * 6000)
    first = library.open("a")
    content = first.read(0, first.read_ahead)
    first.close()
    assert library.open("a").read(0, 6000) is content


def test_least_recently_used_content_makes_room(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"a" * 4000, b=b"b" * 4000, c=b"c" * 4000)
    for name in ("a", "b", "a"):
        library.open(name).close()
    kept = library.open("a")
    content = kept.read(0, 4000)
    kept.close()
    library.open("c").close()
    assert library._contents.kept == 8000
    assert library.open("a").read(0, 4000) is content


def test_content_over_the_budget_is_read_in_small_pieces(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"a" * 9000, b=bytes(index % 251 for index in range(9000)))
    first, second = library.open("a"), library.open("b")
    assert library._contents.kept == 9000
    assert second.sha256 == hashlib.sha256((tmp_path / "b").read_bytes()).hexdigest()
    assert (first.read_ahead, second.read_ahead) == (9000, SHORTEST_READ_AHEAD)
    assert second.read(100, 7) == (tmp_path / "b").read_bytes()[100:107]
    for content in (first, second):
        content.close()


def test_large_file_is_not_read_whole(library: Library, tmp_path: Path) -> None:
    with (tmp_path / "image.bin").open("wb") as image:
        image.truncate(200 << 20)
    library.refresh()
    content = library.open("image.bin")
    assert (content.size, content.sha256, library._contents.kept) == (200 << 20, None, 0)
    assert SHORTEST_READ_AHEAD <= content.read_ahead <= LONGEST_READ_AHEAD
    assert content.read(100 << 20, content.read_ahead) == bytes(content.read_ahead)
    content.close()


def test_read_ahead_of_a_large_file_shrinks_with_its_readers(tmp_path: Path) -> None:
    library = Library(tmp_path, cache_bytes=1 << 20, settled_ns=OLD_AT_ONCE)
    write(tmp_path / "image.bin", bytes(WHOLE_BYTES + 1))
    library.refresh()
    contents = [library.open("image.bin") for _ in range(32)]
    assert contents[0].read_ahead == (1 << 20) // 32
    before = descriptors()
    for content in contents:
        content.close()
    assert descriptors() == before - 1  # one shared content


def test_open_content_keeps_its_version_after_replacement(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"old" * 10, b=b"o" * WHOLE_BYTES + b"ld")
    whole, streamed = library.open("a"), library.open("b")
    for name in ("a", "b"):
        write(tmp_path / "new", b"new")
        (tmp_path / "new").rename(tmp_path / name)
        assert library.open(name).read(0, 9) == b"new"
    assert whole.read(0, 30) == b"old" * 10
    assert streamed.read(WHOLE_BYTES, 9) == b"ld"


def test_recently_written_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(tmp_path, settled_ns=10**12)
    put(library, tmp_path, a=b"one")
    identity = (1, 2, 3, 4, 5)
    monkeypatch.setattr("cisisk.provisioning.contents._identity", lambda _: identity)
    first = library.open("a")
    (tmp_path / "a").write_bytes(b"two")  # within one tick of the clock of the file system
    assert (first.read(0, 3), library.open("a").read(0, 3)) == (b"one", b"two")
    first.close()
    assert library._contents.kept == 3


def test_content_may_be_closed_twice(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"x")
    content, other = library.open("a"), library.open("a")
    content.close()
    content.close()
    assert other.read(0, 1) == b"x"
    other.close()


def test_contents_leave_no_open_descriptor(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, a=b"a" * 9000, b=b"b" * 9000, c=b"c" * (WHOLE_BYTES + 1))
    before = descriptors()
    for _ in range(3):
        contents = [library.open(name) for name in ("a", "b", "c")]
        for content in contents:
            content.close()
    assert descriptors() == before


def test_contents_without_budget_are_streamed(tmp_path: Path) -> None:
    contents = Contents(0, settled_ns=OLD_AT_ONCE)
    write(tmp_path / "a", b"abc")
    fd = os.open(tmp_path / "a", os.O_RDONLY)
    content = contents.take(fd, os.fstat(fd))
    assert (content.read(1, 2), content.read(0, 3), contents.kept) == (b"bc", b"abc", 0)
    content.close()


def test_readers_of_the_same_part_share_it(library: Library, tmp_path: Path) -> None:
    put(library, tmp_path, image=os.urandom(WHOLE_BYTES + 1))
    first, second = library.open("image"), library.open("image")
    part = first.read(0, first.read_ahead)
    assert second.read(0, second.read_ahead) is part
    assert second.read(1, second.read_ahead) == (tmp_path / "image").read_bytes()[1 : 1 + second.read_ahead]
    assert second.read(0, 512) == part[:512]
