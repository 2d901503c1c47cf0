"""What the requests of a booting phone mean, in words.

Sources:
- docs/phone-protocol/boot.md#request-order
- docs/phone-protocol/boot.md#missing-files
- docs/phone-protocol/boot.md#firmware
- docs/phone-protocol/trust.md#what-phones-do
"""

from enum import StrEnum
from typing import Final

from cisisk.model import catalogue
from cisisk.model.catalogue import Family
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.purpose import Purpose


class Care(StrEnum):
    """Whether somebody has to do something."""

    NONE = "none"
    """All as it should be."""
    HARMLESS = "harmless"
    """A miss that phones live with."""
    ATTENTION = "attention"


PURPOSES: Final = {
    Purpose.TRUST_LIST: "its list of servers to trust",
    Purpose.CONFIG: "its config",
    Purpose.SIGNED_CONFIG: "its config in signed form",
    Purpose.SHARED_CONFIG: "what all phones of its kind share",
    Purpose.DEFAULT_CONFIG: "the config for unknown phones",
    Purpose.WIRELESS: "its wireless settings",
    Purpose.IMAGE_NAME: "the name of the firmware that it is to run",
    Purpose.RECOVERY: "the firmware that brings it back to life",
    Purpose.FIRMWARE: "the firmware that its config names",
    Purpose.FIRMWARE_PART: "a part of its firmware",
    Purpose.DICTIONARY: "the texts of its language",
    Purpose.TONES: "the tones of its country",
    Purpose.RINGTONE: "ring tones",
    Purpose.DIAL_PLAN: "its dial plan",
    Purpose.SOFT_KEYS: "its soft keys",
    Purpose.FEATURES: "its feature policy",
    Purpose.DIAL_RULES: "dial rules",
    Purpose.BACKGROUND: "backgrounds",
    Purpose.HEADSET: "headset settings",
    Purpose.UNKNOWN: "a file that Cisisk does not know",
}
"""How each sentence goes on that begins with "It asked for"."""

MISSES: Final[dict[Purpose, tuple[str, str, Care]]] = {
    Purpose.TRUST_LIST: (
        *("no_trust_list", ", which is not there. It needs none, unless its config demands security."),
        Care.HARMLESS,
    ),
    Purpose.CONFIG: ("config_absent", ", which is not there.", Care.ATTENTION),
    Purpose.SIGNED_CONFIG: (
        *("signed_config_absent", ", which is not there: Cisisk signs nothing."),
        Care.ATTENTION,
    ),
    Purpose.SHARED_CONFIG: ("no_shared_config", ", which is not there. Its own config is enough.", Care.HARMLESS),
    Purpose.DEFAULT_CONFIG: ("default_config_absent", ", which is not there.", Care.ATTENTION),
    Purpose.WIRELESS: ("no_wireless_settings", ", which are not there. It keeps those it has.", Care.HARMLESS),
    Purpose.IMAGE_NAME: ("no_image_name", ", which is not there. It keeps the firmware it has.", Care.HARMLESS),
    Purpose.RECOVERY: ("recovery_absent", ", which is not there.", Care.ATTENTION),
    Purpose.FIRMWARE: ("load_missing", ", which is not there. It keeps the firmware it has.", Care.ATTENTION),
    Purpose.FIRMWARE_PART: ("load_incomplete", ", which is not there.", Care.ATTENTION),
    Purpose.DICTIONARY: ("no_dictionary", ", which are not there. Its texts stay English.", Care.HARMLESS),
    Purpose.TONES: ("no_tones", ", which are not there. It keeps its built-in tones.", Care.HARMLESS),
    Purpose.RINGTONE: ("no_ring_tones", ", which are not there. It keeps its built-in ones.", Care.HARMLESS),
    Purpose.DIAL_PLAN: ("no_dial_plan", ", which is not there. It dials when no more digits come.", Care.HARMLESS),
    Purpose.SOFT_KEYS: ("no_soft_keys", ", which are not there. It keeps its usual ones.", Care.HARMLESS),
    Purpose.FEATURES: ("no_feature_policy", ", which is not there. It keeps its usual features.", Care.HARMLESS),
    Purpose.DIAL_RULES: ("no_dial_rules", ", which are not there. It does without.", Care.HARMLESS),
    Purpose.BACKGROUND: ("no_backgrounds", ", which are not there. It keeps its own.", Care.HARMLESS),
    Purpose.HEADSET: ("no_headset_settings", ", which are not there. It does without.", Care.HARMLESS),
    Purpose.UNKNOWN: ("no_such_file", ", which is not there. Most phones do without.", Care.HARMLESS),
}
"""What it means that such a file is absent: a code, how the sentence ends, and whether somebody has to care."""

FAILURES: Final = {
    FetchOutcome.TIMED_OUT: ("timed_out", " and stopped answering after {acknowledged} of {size} bytes."),
    FetchOutcome.CUT: ("cut", " and Cisisk broke off after {acknowledged} of {size} bytes."),
    FetchOutcome.ABORTED: ("aborted", " and broke off after {acknowledged} of {size} bytes."),
    FetchOutcome.REFUSED: ("refused", " in a way that gets no file."),
}
"""A code for each way in which a transfer fails, and how the sentence ends."""

HELPS: Final = {
    "config_missing": "Switch the phone to a profile; it takes it at its next boot.",
    "default_config": "Switch the phone to a profile, if it is to have one of its own.",
    "config_not_taken": (
        "Look for what stands between: a firewall that does not let the answers through (TFTP answers from another"
        " port, see tftp.port_range), a bad cable, two devices with one address."
    ),
    "only_default_config": (
        "It may have asked another server for its own config: see that option 150 names this one only, and that no"
        " alternate TFTP server is set in the phone's network settings. Then restart it."
    ),
    "stopped_at_trust_list": (
        "The answer did not reach it, or its firmware stops at the answer: look for a firewall between, and see"
        " whether it starts over again by itself."
    ),
    "keeps_starting": (
        "Most often its registration is rejected or the call manager cannot be reached: see processNodeName, line name"
        " and password in its config, and what the call manager says."
    ),
    "recovery_without_image": (
        "Put {name} and the files that it names, from a firmware package for this model, into the served directory."
        " Leave the phone under power meanwhile."
    ),
    "no_contact_since": (
        "Restart it by hand. If it still asks for nothing, it is off, unplugged, or asks another server: see DHCP"
        " option 150 and its network settings."
    ),
    "load_missing": "Put that firmware into the served directory, or name another one in the profile.",
    "load_missing_said": "Its config names a firmware that is not here:",
    "load_incomplete": "Put the whole firmware package into the served directory.",
    "load_incomplete_said": "Its firmware is not complete here:",
    "timed_out": "Look for a bad cable, a busy network, or a firewall that ends transfers.",
    "timed_out_said": "It stopped answering during",
    "cut": "See the log of Cisisk: it was stopped, or its disk failed.",
    "cut_said": "Cisisk broke off during",
    "aborted": "It may have no room for the file, or take another form of it: see the phone's status messages.",
    "aborted_said": "It broke off during",
    "refused": "Phones ask in no such way: see what has this address.",
    "refused_said": "It asked in a way that gets no file:",
}
"""What to do, by the code of a finding; ``..._said`` is how the finding on several files begins."""

_MENU = "then Reset Settings, then Security Settings: that erases the trust lists. The entries move with the firmware."
_ERASE: Final = {
    Family.P79XX: (
        "On the phone: Settings, Security Configuration, Trust List, ITL File (and CTL File, if it has one); unlock"
        " with **#, press Erase."
    ),
    Family.P7940: "On the phone: Settings, Security Configuration, CTL File; unlock with **#, press Erase.",
    Family.P99XX: f"On the phone: Applications, Administrator Settings, {_MENU}",
    Family.P69XX: f"On the phone: Applications, Admin Settings, {_MENU}",
    Family.P894X: f"On the phone: Applications, Administrator Settings, {_MENU}",
    Family.P78XX: f"On the phone: Applications, Admin Settings, {_MENU}",
    Family.P88XX: f"On the phone: Applications, Admin Settings, {_MENU}",
}
_ERASE_ANY = (
    "Erase the trust lists (ITL and CTL) in the phone's security settings. On most models: Applications or Settings,"
    " Administrator Settings, Reset Settings, Security Settings; on a 79xx: Settings, Security Configuration, Trust"
    " List."
)


def erase_trust_list(model: str | None) -> str:
    """How to make a phone of that model forget the call manager it came from."""
    facts = catalogue.find(model) if model else None
    return _ERASE.get(facts.family, _ERASE_ANY) if facts else _ERASE_ANY
