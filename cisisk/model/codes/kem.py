"""The codes of findings on key expansion modules."""

from cisisk.model.notice import NoticeCode


class KemFindingCode(NoticeCode):
    """The kinds of findings. The values are part of the API and do not change."""

    MIXED_MODULES = "mixed_modules", "module", "other"
    """All modules of a phone have to be of the same type."""
    MODULE_DOES_NOT_FIT = "module_does_not_fit", "module", "phone", "fitting"
    """The phone takes modules, but not this one."""
    PHONE_TAKES_NO_MODULES = "phone_takes_no_modules", "phone"
    """There is no connector for one, or no firmware that knows one."""
    TOO_MANY_MODULES = "too_many_modules", "phone", "most", "count"
    """More than the phone can power and address."""
    UNKNOWN_MODULE = "unknown_module", "module", "known"
    """A module that is not in the catalogue: a typing error, or one about which nothing can be judged."""
