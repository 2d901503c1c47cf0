"""What can be typed into a line of a form (``InputFlags``, docs/phone-protocol/xml-services.md#forms)."""

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


def typed(text: str, flags: str) -> str:
    """What stands in the line after somebody has typed ``text`` on the keys such a line offers.

    Args:
        text: what they mean to type.
        flags: known ones.

    Raises:
        ValueError: there is no key for a character of it; the text does not say which, for it may be a PIN's.
    """
    kind = flags.strip("P")
    if not _ALLOWED[kind].issuperset(text):
        raise ValueError(f"a character that cannot be typed where the flags are {flags}")
    if kind == "U":
        return text.upper()
    return text.lower() if kind == "L" else text
