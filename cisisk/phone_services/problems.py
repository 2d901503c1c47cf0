"""The error that keeps a page from being shown, and how the phone shows it.

The administrators' documentation explains each code.
"""

from cisisk.model.errors import CisiskError
from cisisk.model.notice import Notice, Parameter
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, ScreenText, Words


class NotShown(CisiskError):
    """A page cannot be shown, and the phone shows a problem instead."""

    def __init__(self, code: ScreenProblem, **parameters: Parameter) -> None:
        super().__init__(code.notice(**parameters))


def page_text(notice: Notice) -> tuple[Words, ...]:
    """Return a problem as the text of a page."""
    return notice, "", ScreenText.ERROR.notice(code=str(notice.code))


def as_prompt(code: ScreenProblem) -> Notice:
    """Return a problem without parameters as the prompt of a form."""
    return prompt_with_code(code.notice(), code)


def prompt_with_code(problem: Notice, code: ScreenProblem) -> Notice:
    """Return a prompt of a form that describes a problem in other words than its code does."""
    return ScreenLabel.WITH_CODE.notice(problem=problem, code=str(code))
