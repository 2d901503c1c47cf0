"""Whether the firmware that a config names is on this server (phone-protocol notes 2.2, loadInformation)."""

from cisisk.model.firmware import LOADS
from cisisk.model.sep_config import Finding, FindingCode, SepConfig
from cisisk.provisioning.firmware import find_load
from cisisk.provisioning.library import Library

_SHOWN = 5
"""Missing files that a warning names."""
_LONGEST_LOAD = 64
"""Characters of a load's name that a warning repeats; real ones have less than 40."""


def load_findings(library: Library, config: SepConfig) -> tuple[Finding, ...]:
    """What is wrong with the firmware that ``config`` names. Blocks for the time of reading a small file."""
    # With another load server the phone never asks here.
    if config.load is None or config.load_server is not None:
        return ()
    load = find_load(library, config.load)
    name = config.load[:_LONGEST_LOAD]
    if not load.missing:
        return ()
    if not load.parts:
        return (
            Finding(
                code=FindingCode.LOAD_NOT_SERVED,
                message=f"The firmware {name} is not on this server. A phone that runs another keeps that, and asks "
                "for this one at each start. Upload it, or leave loadInformation empty.",
            ),
        )
    missing = ", ".join(load.missing[:_SHOWN])
    more = f" and {len(load.missing) - _SHOWN} more" if len(load.missing) > _SHOWN else ""
    return (
        Finding(
            code=FindingCode.LOAD_INCOMPLETE,
            message=f"{name}{LOADS} names {len(load.parts)} files, of which {missing}{more} are not on this server. "
            "A phone cannot load this firmware: upload what is missing.",
        ),
    )
