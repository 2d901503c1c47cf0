"""The texts of the screen, and their lengths."""

import pytest

from cisisk.phone_services.objects import MAX_SHORT
from cisisk.phone_services.problems import as_prompt
from cisisk.phone_services.texts import TEMPLATES, ScreenLabel, ScreenProblem, ScreenText, in_words

FIXED = {
    *("Personal", "Corporate", "Open Contact", "Reorder Contacts", "Change PIN", "Logout", "Name", "Work", "Mobile"),
    *("Home", "Email", "Dial", "Add", "Options", "Exit", "Call", "Edit", "Delete", "Yes", "No", "View", "Back"),
    *("Select",),
}
"""The labels that the contract of the pages names."""
PROMPTS = (ScreenProblem.WRONG_LOGIN, ScreenProblem.FORM_EXPIRED)


@pytest.mark.wording
def test_labels_of_the_contract_are_kept() -> None:
    assert FIXED - {TEMPLATES[label] for label in ScreenLabel} == set()


@pytest.mark.wording
@pytest.mark.parametrize("label", [label for label in ScreenLabel if not label.parameters])
def test_label_is_not_cut(label: ScreenLabel) -> None:
    assert 1 < len(TEMPLATES[label]) <= MAX_SHORT


@pytest.mark.wording
@pytest.mark.parametrize("problem", PROMPTS)
def test_prompt_with_code_is_not_cut(problem: ScreenProblem) -> None:
    assert len(in_words(as_prompt(problem))) <= MAX_SHORT


@pytest.mark.wording
@pytest.mark.parametrize("problem", ScreenProblem)
def test_problem_fits_a_screen(problem: ScreenProblem) -> None:
    assert 10 < len(TEMPLATES[problem]) < 200


def test_code_without_its_parameters_is_rejected() -> None:
    with pytest.raises(TypeError, match="screen_activating takes"):
        in_words(ScreenText.ACTIVATING)


def test_name_that_looks_like_a_template_is_shown_as_it_is() -> None:
    assert in_words(ScreenLabel.ACTIVE.notice(profile="{0} {x}")).endswith("{0} {x}")
    assert in_words("{profile}") == "{profile}"
