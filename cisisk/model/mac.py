"""MAC addresses: the identity of a phone."""

import re
from dataclasses import dataclass
from typing import Self

from cisisk.model.errors import Invalid

_FORMS = re.compile(
    r"""(?: (?:[0-9A-F]{2}:){5}[0-9A-F]{2}    # AA:BB:CC:DD:EE:01
          | (?:[0-9A-F]{2}-){5}[0-9A-F]{2}    # AA-BB-CC-DD-EE-01
          | (?:[0-9A-F]{4}\.){2}[0-9A-F]{4}   # AABB.CCDD.EE01
          | (?:SEP)?[0-9A-F]{12}              # AABBCCDDEE01, SEPAABBCCDDEE01
        )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
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
                multicast and broadcast). The error names ``field``.
        """
        if not _FORMS.fullmatch(text):
            raise Invalid.field(field, f"Not {_EXAMPLE}")
        digits = re.sub(r"[^0-9A-F]", "", text.upper().removeprefix("SEP"))
        if digits == "0" * 12 or int(digits[:2], 16) & 1:
            raise Invalid.field(field, "An all-zero, multicast or broadcast address belongs to no phone")
        return cls(digits)

    def __str__(self) -> str:
        return ":".join(self.digits[at : at + 2] for at in range(0, 12, 2))

    @property
    def device_name(self) -> str:
        """The device name of the phone: ``SEPAABBCCDDEE01``."""
        return f"SEP{self.digits}"

    @property
    def config_name(self) -> str:
        """The config file that the phone requests: ``SEPAABBCCDDEE01.cnf.xml``."""
        return f"{self.device_name}.cnf.xml"
