"""Helpers to check notices by code instead of wording."""

from collections.abc import Callable, Iterator

from cisisk.model.errors import CisiskError
from cisisk.model.notice import Notice, NoticeCode, Parameter


def causes(notice: Notice) -> Iterator[Notice]:
    """Yield the notice and the notices among its parameters, at any depth."""
    yield notice
    for value in notice.parameters.values():
        for cause in value if isinstance(value, tuple) else (value,):
            if isinstance(cause, Notice):
                yield from causes(cause)


def codes(notice: Notice) -> list[str]:
    """Return the codes of a notice and its causes."""
    return [cause.code for cause in causes(notice)]


def codes_in(value: object) -> set[str]:
    """Every code in an answer of the API, at any depth."""
    if isinstance(value, dict):
        own = {value["code"]} if isinstance(value.get("code"), str) else set()
        return own.union(*map(codes_in, value.values()))
    return set().union(*map(codes_in, value)) if isinstance(value, list) else set()


def carries(code: NoticeCode, **parameters: Parameter) -> Callable[[CisiskError], bool]:
    """Return a check for ``pytest.raises``: the error has a notice or cause with this code and these parameters."""

    def check(error: CisiskError) -> bool:
        return any(
            cause.code == code and parameters.items() <= dict(cause.parameters).items()
            for cause in causes(error.notice)
        )

    return check
