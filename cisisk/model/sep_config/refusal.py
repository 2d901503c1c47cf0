"""The error for a rejected config: the place in the file, the cause, and what to do."""

from cisisk.model.errors import Invalid

FIELD = "cnf_xml"
"""The field of the API that holds a config."""


def refusal(reason: str, *, line: int | None = None, column: int | None = None) -> Invalid:
    """Return the error for a rejected config. ``reason`` must not quote the file, which may hold a password."""
    place = ""
    if line:
        place = f"Line {line}, column {column}: " if column else f"Line {line}: "
    return Invalid.field(FIELD, place + reason)


def refusal_at(reason: str, before: str) -> Invalid:
    """Return the error for the place after the text ``before``."""
    return refusal(reason, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))
