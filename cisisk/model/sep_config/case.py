"""What is judged at once: the file, and what its profile says about it."""

from dataclasses import dataclass

from cisisk.model.catalogue import ModelFacts, Protocol
from cisisk.model.phone import Software
from cisisk.model.sep_config.document import Document
from cisisk.model.sep_config.facts import SepConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file and its profile.

    Attributes:
        models: those of ``compatible_models`` that the catalogue knows.
        placeholders: whether they are filled in.
    """

    document: Document
    config: SepConfig
    compatible_models: tuple[str, ...]
    models: tuple[ModelFacts, ...]
    software_type: Software | None
    placeholders: bool

    @property
    def protocol(self) -> Protocol | None:
        """What the phone will speak: what the file says, or else its profile."""
        return self.config.speaks or self.profile_protocol

    @property
    def profile_protocol(self) -> Protocol | None:
        """What the profile says the phone will speak."""
        if self.software_type is None:
            return None
        return "SCCP" if self.software_type is Software.SCCP else "SIP"
