"""Input restrictions of form lines (``InputFlags``, docs/phone-protocol/xml-services.md#forms)."""

import re
import string

_KINDS = "ATNEUL"
FLAGS = re.compile(rf"[{_KINDS}]P?|P[{_KINDS}]")
_PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")
_ALLOWED = {
    "A": _PRINTABLE,
    "U": _PRINTABLE,
    "L": _PRINTABLE,
    "T": frozenset(string.digits + "*#"),
    "N": frozenset(string.digits),
    "E": frozenset(string.digits + "+-*/=().,^ "),
}


def apply_flags(text: str, flags: str) -> str:
    """Return ``text`` as it appears in a line with these ``flags``.

    Args:
        text: text to type.
        flags: valid ``InputFlags``.

    Raises:
        ValueError: a character cannot be typed. The message does not name it: it may be part of a PIN.
    """
    kind = flags.strip("P")
    if not _ALLOWED[kind].issuperset(text):
        raise ValueError(f"a character cannot be typed with the input flags {flags}")
    if kind == "U":
        return text.upper()
    return text.lower() if kind == "L" else text
