"""MAC addresses: the identity of a phone."""

import re
from dataclasses import dataclass
from typing import Self

from cisisk.model.errors import Invalid

_FORMS = re.compile(
    r"""(?: (?:[0-9A-F]{2}:){5}[0-9A-F]{2}    # AA:BB:CC:DD:EE:01
          | (?:[0-9A-F]{2}-){5}[0-9A-F]{2}    # AA-BB-CC-DD-EE-01
          | (?:[0-9A-F]{4}\.){2}[0-9A-F]{4}   # AABB.CCDD.EE01
          | (?:SEP|ATA)?[0-9A-F]{12}          # AABBCCDDEE01, SEPAABBCCDDEE01, ATAAABBCCDDEE01
        )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_GROUPS = ("01005E", "0180C2", "01000C", "011B19", "3333", "FFFF")
"""The beginnings of multicast addresses in use: IPv4, IEEE 802.1, Cisco, PTP, IPv6, broadcast."""
_EXAMPLE = "a MAC address such as AA:BB:CC:DD:EE:01"


@dataclass(frozen=True, slots=True, order=True)
class Mac:
    """A unicast Ethernet address.

    Attributes:
        digits: twelve upper-case hexadecimal digits.
    """

    digits: str

    @classmethod
    def parse(cls, text: str, *, field: str = "mac") -> Self:
        """Parse a MAC address in any common notation.

        Raises:
            Invalid: ``text`` is no MAC address, is all zero, or has the group bit set (IEEE 802 clause 8.2.2:
                multicast and broadcast) and is not the name of an adapter's second port. The error names ``field``.
        """
        if not _FORMS.fullmatch(text):
            raise Invalid.field(field, f"Not {_EXAMPLE}")
        digits = re.sub(r"[^0-9A-F]", "", text.upper().removeprefix("SEP").removeprefix("ATA"))
        if digits == "0" * 12 or (int(digits[:2], 16) & 1 and not _can_be_second_port(digits)):
            raise Invalid.field(field, "An all-zero, multicast or broadcast address belongs to no phone")
        return cls(digits)

    def __str__(self) -> str:
        return ":".join(self.digits[at : at + 2] for at in range(0, 12, 2))

    @property
    def device_name(self) -> str:
        """The device name of the phone: ``SEPAABBCCDDEE01``."""
        return f"SEP{self.digits}"

    @property
    def is_second_port(self) -> bool:
        """Whether this can only be the second port of an analogue adapter: its group bit is set."""
        return bool(int(self.digits[:2], 16) & 1)

    @property
    def second_port(self) -> "Mac":
        """The second port of an analogue adapter: the MAC shifted by two digits, with ``01`` at its end."""
        return Mac(f"{self.digits[2:]}01")

    @property
    def config_names(self) -> tuple[str, str, str]:
        """The names under which a device requests its config, depending on its kind."""
        return self.config_name, self.adapter_config_name, self.flat_config_name

    @property
    def adapter_config_name(self) -> str:
        """The config file that an analogue adapter requests: ``ATAAABBCCDDEE01.cnf.xml``."""
        return f"ATA{self.digits}.cnf.xml"

    @property
    def flat_config_name(self) -> str:
        """The config file that a 7940 or 7960 with SIP firmware requests: ``SIPAABBCCDDEE01.cnf``."""
        return f"SIP{self.digits}.cnf"

    @property
    def config_name(self) -> str:
        """The config file that the phone requests: ``SEPAABBCCDDEE01.cnf.xml``."""
        return f"{self.device_name}.cnf.xml"


def _can_be_second_port(digits: str) -> bool:
    """Return whether a group address can be the shifted MAC of an adapter (docs/phone-protocol/boot.md#adapters)."""
    return digits.endswith("01") and not digits.startswith(_GROUPS)
