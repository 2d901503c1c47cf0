"""How a config is refused: where in the file, what is wrong there, and what to do about it."""

from cisisk.model.errors import Invalid

FIELD = "cnf_xml"
"""What the file is called wherever it is sent."""


def refusal(reason: str, *, line: int | None = None, column: int | None = None) -> Invalid:
    """The error for a config that cannot be accepted. ``reason`` never quotes the file: it may hold a password."""
    place = f"Line {line}, column {column}: " if line else ""
    return Invalid.field(FIELD, place + reason)


def refusal_at(reason: str, before: str) -> Invalid:
    """The same, at the place that follows the text ``before``."""
    return refusal(reason, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))
