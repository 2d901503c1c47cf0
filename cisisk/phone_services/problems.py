"""The error that keeps a page from being shown, and how the phone shows it.

The administrators' documentation explains each code.
"""

from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.errors import CisiskError
from cisisk.model.messages import render
from cisisk.model.notice import Notice, Parameter


class NotShown(CisiskError):
    """A page cannot be shown, and the phone shows a problem instead."""

    def __init__(self, code: ScreenProblem, **parameters: Parameter) -> None:
        super().__init__(code.notice(**parameters))


def page_text(notice: Notice) -> str:
    """Return a problem as the text of a page."""
    return f"{render(notice)}\n\nError {notice.code}"


def as_prompt(code: ScreenProblem) -> str:
    """Return a problem without parameters as the prompt of a form."""
    return f"{render(code.notice())} ({code})"
