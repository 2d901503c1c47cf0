"""What a client asks to be listed: the arguments of LIST, NLST and STAT as clients write them.

RFC 959 allows a path only. Clients also send options of ``ls``, patterns, and the separators of Windows; servers in
common use accept them (vsftpd: ``ls.c`` and ``ftpcmdio.c``; IIS: ``*.*`` for everything).
"""

import re
from fnmatch import translate
from typing import NamedTuple

LISTINGS = frozenset({"LIST", "NLST", "STAT"})
_OPTIONS = re.compile(r"(?:-[A-Za-z0-9]+(?: +|$))*")
_MAGIC = re.compile(r"[*?[]")


class Listed(NamedTuple):
    """What is to be listed.

    Attributes:
        path: of a file or folder; empty for the current folder.
        pattern: of names in the folder ``path``, with ``*``, ``?`` and ``[...]``; None for the file or folder itself.
    """

    path: str
    pattern: str | None

    def matches(self, name: str) -> bool:
        """Return whether a name in the folder is listed. Names of the library have a case, as on Linux."""
        # A client of DOS means everything by it, names without a dot included.
        return self.pattern in ("*", "*.*") or re.match(translate(self.pattern or ""), name) is not None


def read_listing(argument: str) -> Listed:
    """Return what the argument of a listing command asks for. Options are ignored: all of them have one form."""
    path = _OPTIONS.sub("", argument, count=1).replace("\\", "/")
    folder, separator, last = path.rpartition("/")
    if not _MAGIC.search(last):
        return Listed(path, None)
    return Listed(folder or separator, last)
