"""The table of failure responses."""

import pytest

from cisisk.api.emservice.failures import FAILURES, BadMessage, UnknownDevice, UnknownQuery, failure_of
from cisisk.model.errors import (
    CisiskError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    StorageFailed,
    TooManyAttempts,
    Unauthenticated,
)
from cisisk.model.phone_login import LoggedInElsewhere, LoginRefused, NoFittingProfile, PhoneDisabled


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CisiskError("x"), 0),
        (Invalid("x"), 0),
        (Stale("x"), 0),
        (BadMessage("x"), 1),
        (Unauthenticated("x"), 3),
        (Conflict("x"), 4),
        (LoginRefused("x"), 4),
        (StorageFailed("x"), 6),
        (UnknownQuery("x"), 8),
        (Forbidden("x"), 10),
        (UnknownDevice("x"), 11),
        (NotFound("x"), 12),
        (NoFittingProfile(), 12),
        (PhoneDisabled(), 22),
        (LoggedInElsewhere([], may_take_over=False), 25),
        (TooManyAttempts(1), 26),
    ],
)
def test_failure_of_uses_nearest_error_class(error: CisiskError, code: int) -> None:
    assert failure_of(error).code == code


def test_failure_texts_are_unique_per_code() -> None:
    texts = {row.code: row.text for row in FAILURES.values()}
    assert all(texts[row.code] == row.text for row in FAILURES.values())
