"""Sentences of :mod:`cisisk.model.codes.job`."""

from cisisk.model.codes.job import StopReason
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    StopReason.TOO_FEW: N_(
        "Of the {ended} phone(s) that ended, {taken} took the config: {share:.0%}, and {wanted:.0%} are wanted"
    ),
    StopReason.TOO_FEW_LATELY: N_(
        "Of the last {ended} phone(s) that ended, {taken} took the config: {share:.0%}, and {wanted:.0%} are wanted"
    ),
}
