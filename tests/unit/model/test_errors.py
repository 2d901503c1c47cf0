import inspect

from cisisk.model import errors
from cisisk.model.codes.error import ErrorKind
from cisisk.model.errors import CisiskError, Invalid, TooManyAttempts


def test_error_classes_share_one_base() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == errors.__name__]
    assert all(issubclass(item, CisiskError) for item in classes)
    assert len(classes) > 5


def test_invalid_field_is_named_with_reasons() -> None:
    error = Invalid.field("mac", "Too short", "Not hexadecimal")
    assert error.notice == ErrorKind.INVALID.notice(text="mac: Too short; Not hexadecimal")
    assert error.fields == {"mac": ["Too short", "Not hexadecimal"]}


def test_error_copies_its_fields() -> None:
    fields = {"mac": ["Too short"]}
    error = Invalid("No phone", fields)
    fields["mac"].append("later")
    assert error.fields == {"mac": ["Too short"]}
    assert Invalid("No phone").fields == {}


def test_too_many_attempts_say_when_to_come_back() -> None:
    error = TooManyAttempts(30)
    assert error.retry_after == 30
    assert "30 s" in str(error)
