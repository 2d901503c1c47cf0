"""The codes of findings on key expansion modules."""

from cisisk.model.notice import NoticeCode


class KemFindingCode(NoticeCode):
    """The kinds of findings. The values are part of the API and do not change."""

    MIXED_MODULES = "mixed_modules", "module", "other"
    """All modules of a phone must have the same type."""
    MODULE_DOES_NOT_FIT = "module_does_not_fit", "module", "phone", "fitting"
    """The phone takes modules of another type."""
    PHONE_TAKES_NO_MODULES = "phone_takes_no_modules", "phone"
    """The phone has no connector for modules, or no firmware for them."""
    TOO_MANY_MODULES = "too_many_modules", "phone", "most", "count"
    """The phone cannot power or address so many modules."""
    UNKNOWN_MODULE = "unknown_module", "module", "known"
    """The catalogue does not have this module: a misspelt or unknown one."""
