"""Texts as a phone shows them, independent of wording."""

from cisisk.model.notice import NoticeCode
from cisisk.phone_services.characters import cut, line
from cisisk.phone_services.problems import as_prompt
from cisisk.phone_services.texts import ScreenProblem, ScreenText, Words, in_words
from tests.unit.phone_services.limits import SHORT


def label(words: Words) -> str:
    """Return a title, prompt, soft key, or menu item."""
    return cut(line(in_words(words), "utf-8"), SHORT)


def labels(*words: Words) -> list[str]:
    """Return several of them."""
    return list(map(label, words))


def text(*lines: Words) -> str:
    """Return the text of a page."""
    return "\n".join(map(in_words, lines))


def prompt_of(problem: ScreenProblem) -> str:
    """Return the prompt of a form that shows a problem."""
    return label(as_prompt(problem))


def field(name: Words, value: str) -> Words:
    """Return the line of a field in the text of a page."""
    shown = name.notice() if isinstance(name, NoticeCode) else name
    return ScreenText.FIELD.notice(field=shown, value=value)
