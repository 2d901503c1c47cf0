"""Notices, and the sentences rendered from them."""

import importlib
import pkgutil
from collections import Counter
from gettext import NullTranslations
from string import Formatter
from typing import Any

import pytest

import cisisk.phone_services.texts  # noqa: F401 -- it adds its templates to the catalogue
from cisisk.model import codes, messages
from cisisk.model.codes.boot import BootFindingCode
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.restart import RestartNotice, RestartRefusal, Sequel
from cisisk.model.messages import render
from cisisk.model.notice import Notice, NoticeCode

for module in pkgutil.iter_modules(codes.__path__, f"{codes.__name__}."):
    importlib.import_module(module.name)
CODES = [code for kind in NoticeCode.__subclasses__() for code in kind]
REFUSED = RestartNotice.REFUSED.notice(
    reasons=(
        RestartNotice.REFUSED_BY.notice(
            methods="cgi-keys", reason=RestartRefusal.HTTP_NO_ANSWER.notice(address="192.0.2.7", seconds=2.5)
        ),
        RestartNotice.REFUSED_BY.notice(methods="sip-notify", reason=RestartRefusal.SCCP_PHONE.notice()),
    ),
    sequel=Sequel.AT_NEXT_BOOT.notice(),
)

NAMES = BootFindingCode.FIRMWARE_INCOMPLETE.notice(names=("cnu45.sbn", "jar45.sbn"))


def template_parameters(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def test_code_values_are_unique() -> None:
    assert [value for value, count in Counter(map(str, CODES)).items() if count > 1] == []


def test_catalogue_has_one_template_for_each_code_and_no_other() -> None:
    assert {str(code) for code in messages.CATALOGUE} == {str(code) for code in CODES}


@pytest.mark.parametrize("code", CODES, ids=str)
def test_template_uses_just_the_parameters_of_its_code(code: NoticeCode) -> None:
    assert sorted(template_parameters(messages.CATALOGUE[code])) == sorted(code.parameters)


def test_notice_survives_json_with_nested_causes() -> None:
    assert Notice.from_json(REFUSED.to_json()) == REFUSED


def test_notice_from_json_compares_equal_to_the_code() -> None:
    assert Notice.from_json(RestartNotice.NOT_NEEDED.notice().to_json()).code == RestartNotice.NOT_NEEDED


def test_notice_with_wrong_parameters_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"phone_speaks_sccp takes \[\], not \['address'\]"):
        RestartRefusal.SCCP_PHONE.notice(address="192.0.2.7")


def test_notice_in_a_log_is_code_and_parameters() -> None:
    assert str(ErrorKind.STORAGE_FAILED.notice(text="disk full")) == 'storage_failed text="disk full"'
    assert (
        str(Sequel.FAILED.notice(failure=ErrorKind.INTERNAL.notice())) == "switch_has_failed failure=(internal_error)"
    )


@pytest.mark.wording
def test_render_joins_nested_reasons() -> None:
    assert render(REFUSED) == (
        "cgi-keys: the phone at 192.0.2.7 did not answer within 2.5 s; sip-notify: the phone speaks SCCP, and no SIP."
        " The phone takes the config at its next boot"
    )


def test_notice_survives_json_with_a_list_of_names() -> None:
    assert Notice.from_json(NAMES.to_json()) == NAMES


@pytest.mark.wording
def test_render_joins_names_with_commas() -> None:
    assert render(NAMES) == "Parts of its firmware are absent: cnu45.sbn, jar45.sbn"


@pytest.mark.parametrize("notice", [Notice("of_a_later_version", {"a": 1}), Notice(RestartRefusal.ITEM_STATUS)])
def test_render_of_an_unknown_notice_shows_its_code(notice: Notice) -> None:
    assert render(notice) == str(notice)


@pytest.mark.parametrize("parameter", [None, (), "two", Notice("a_cause"), ("a", "b")])
def test_render_shows_the_code_where_a_parameter_has_another_type(parameter: Any) -> None:
    notice = Notice(RestartRefusal.ASTERISK_SLOW, {"seconds": parameter})
    assert render(notice) == str(notice)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a sentence", "null", "7", "[]", "{}", '"text"', '{"code": "internal_error", "parameters": 7}'),
        *('{"code": null, "parameters": {}}', '{"code": "a", "parameters": {"b": {}}}'),
        *('{"code": "a", "parameters": {"b": [7]}}', '{"code": "a", "parameters": [["b", 1]]}'),
    ],
)
def test_stored_text_that_is_no_notice_becomes_a_text_notice(text: str) -> None:
    assert Notice.from_json(text) == ErrorKind.TEXT.notice(text=text)


def test_stored_notice_without_parameters_shows_its_code() -> None:
    assert Notice.from_json('{"code":"phone_model_unknown"}') == RestartRefusal.MODEL_UNKNOWN.notice()


@pytest.mark.wording
def test_render_translates_templates() -> None:
    class Shouted(NullTranslations):
        def gettext(self, message: str) -> str:
            return message.replace("the phone speaks", "DAS TELEFON SPRICHT")

    sentence = render(REFUSED, Shouted())
    assert "DAS TELEFON SPRICHT SCCP" in sentence
