"""Debian's packages of Asterisk, extracted into a cache directory outside the checkout.

The suites that have Asterisk change over time, so several are tried. The cache is made once per machine.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

SUITES = {
    "chan_pjsip": ("sid", "forky", "trixie", "bookworm", "bullseye"),
    "chan_sip": ("bullseye", "bookworm"),
}
"""The suites that may have an Asterisk with a module, in the order of preference. Asterisk 21 removed chan_sip."""
_BUILD_SECONDS = 600
"""The packages are about 70 MB."""
_URL = re.compile(r"\bhttps?://\S+")
_VERSION = re.compile(r"Asterisk (\d[\d.]*)")


class Unavailable(Exception):
    """No suite's Asterisk can be had; the text is the reason."""


@dataclass(frozen=True)
class Tree:
    """An extracted suite. Its programs run with its own loader and libraries, without chroot and without root."""

    suite: str
    root: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs Asterisk."""
        loader = next(self.root.glob("**/ld-linux*.so.*"))
        libraries = [path for path in (self.root / "usr/lib", self.root / "lib") if path.is_dir()]
        places = [place for path in libraries for place in (*path.glob("*-linux-gnu*"), path)]
        asterisk = str(self.root / "usr/sbin/asterisk")
        return [str(loader), "--library-path", ":".join(map(str, places)), asterisk, *arguments]

    @property
    def modules(self) -> Path:
        """Return the directory of Asterisk's modules."""
        return next(self.root.glob("usr/lib/**/asterisk/modules"))

    @property
    def data(self) -> Path:
        """Return the directory of Asterisk's data, with the documentation of its settings."""
        return self.root / "usr/share/asterisk"

    @property
    def version(self) -> str:
        """Return the version, such as ``22.10.1``."""
        said = subprocess.run(self.command("-V"), capture_output=True, text=True, check=True).stdout
        match = _VERSION.search(said)
        assert match, said
        return match[1]


def asterisk(module: str = "chan_pjsip") -> Tree:
    """Return the first tree whose Asterisk has ``module``, from the cache or new.

    Raises:
        Unavailable: there is none.
    """
    found = _find(module)
    if isinstance(found, str):
        raise Unavailable(found)
    return found


@cache
def _find(module: str) -> Tree | str:
    """Return a tree, or why there is none. A process tries only once."""
    if (found := _first(module, _cached)) is not None:
        return found
    reasons = []

    def build(suite: str) -> Tree | None:
        try:
            return _cached(suite) or _build(suite)
        except Unavailable as reason:
            reasons.append(str(reason))
            return None

    with _locked(_cache()):
        found = _first(module, build)
    return found or "; ".join(dict.fromkeys(reasons))


def tested() -> list[str]:
    """Return suite and version of each cached tree."""
    cached = {suite: _cached(suite) for suites in SUITES.values() for suite in suites}
    return [f"{tree.version} of Debian {tree.suite}" for tree in cached.values() if tree is not None]


def _cache() -> Path:
    return Path(os.environ.get("CISISK_TEST_CACHE") or Path.home() / ".cache" / "cisisk-tests") / "asterisk"


def _cached(suite: str) -> Tree | None:
    tree = Tree(suite, _cache() / suite)
    return tree if tree.root.is_dir() else None


def _first(module: str, tree_of: Callable[[str], Tree | None]) -> Tree | None:
    """Return the first tree that has ``module``."""
    trees = (tree_of(suite) for suite in SUITES[module])
    return next((tree for tree in trees if tree is not None and (tree.modules / f"{module}.so").is_file()), None)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the lock of the cache: only one process builds."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(suite: str) -> Tree:
    """Extract Asterisk and what it depends on. The directory appears when it is whole. Raises Unavailable."""
    if shutil.which("mmdebstrap") is None:
        raise Unavailable("mmdebstrap is not installed")
    with TemporaryDirectory(dir=_cache(), prefix=f".{suite}-") as temporary:
        new = Path(temporary) / suite
        # The release files of a mirror that is a snapshot have expired.
        options = ("--aptopt=Acquire::Check-Valid-Until false", "--variant=extract", "--include=asterisk")
        try:
            built = subprocess.run(
                ["mmdebstrap", *options, suite, str(new), _mirror()],
                capture_output=True,
                text=True,
                check=False,
                timeout=_BUILD_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{suite}: not extracted within {_BUILD_SECONDS} s") from None
        if built.returncode or not (new / "usr/sbin/asterisk").is_file():
            errors = [line for line in built.stderr.splitlines() if line.startswith("E: ")]
            raise Unavailable(f"{suite}: {_URL.sub('(URL)', errors[0]) if errors else 'mmdebstrap failed'}")
        shutil.rmtree(new / "dev", ignore_errors=True)
        new.rename(_cache() / suite)
    return Tree(suite, _cache() / suite)


def _mirror() -> str:
    """Return the mirror that this machine's apt uses. Raises Unavailable."""
    form = ("--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    try:
        listed = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise Unavailable("apt-get does not list its sources") from None
    for line in listed.splitlines():
        label, _, mirror = line.partition(" ")
        if label == "Debian":
            return mirror
    raise Unavailable("apt has no sources of Debian, or apt-get update has not been run")
