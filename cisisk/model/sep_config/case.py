"""The input of the rules: a config, and the restrictions of its profile."""

from dataclasses import dataclass

from cisisk.model.catalogue import ModelFacts, Protocol
from cisisk.model.phone import Software
from cisisk.model.sep_config.document import Document
from cisisk.model.sep_config.facts import SepConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One config and the restrictions of its profile.

    Attributes:
        models: those of ``compatible_models`` that the catalogue knows.
        placeholders: whether the profile fills in placeholders.
    """

    document: Document
    config: SepConfig
    compatible_models: tuple[str, ...]
    models: tuple[ModelFacts, ...]
    software_type: Software | None
    placeholders: bool

    @property
    def protocol(self) -> Protocol | None:
        """The protocol in the file, else that of the profile."""
        return self.config.speaks or self.profile_protocol

    @property
    def profile_protocol(self) -> Protocol | None:
        """The protocol of the profile's software; None if the profile fits any software."""
        if self.software_type is None:
            return None
        return "SCCP" if self.software_type is Software.SCCP else "SIP"
