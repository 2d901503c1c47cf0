"""Sentences of :mod:`cisisk.model.codes.kem`."""

from cisisk.model.codes.kem import KemFindingCode
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    KemFindingCode.MIXED_MODULES: N_(
        "The phone has a {module} beside a {other}. Attach modules of one type to a phone."
    ),
    KemFindingCode.MODULE_DOES_NOT_FIT: N_("A {module} does not fit a {phone}. Use {fitting}."),
    KemFindingCode.PHONE_TAKES_NO_MODULES: N_("A {phone} takes no key expansion modules. Use another phone model."),
    KemFindingCode.TOO_MANY_MODULES: N_("The phone has {count} modules, and a {phone} takes {most}. Remove some."),
    KemFindingCode.UNKNOWN_MODULE: N_(
        "The module {module} is not in the catalogue, which has {known}. Check its name."
    ),
}
