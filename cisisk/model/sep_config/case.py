"""The input of the rules: a config, and the restrictions of its profile."""

from dataclasses import dataclass

from cisisk.model.catalogue import Family, ModelFacts, Protocol
from cisisk.model.loads import LoadFacts, read_load
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
    def load(self) -> LoadFacts:
        """What the name of the load reveals."""
        return read_load(self.config.load or "")

    @property
    def reads_flat_config(self) -> bool:
        """Whether all phones that the file is for read their lines from ``SIP<MAC>.cnf`` instead."""
        if self.load.reads_flat_config:
            return True
        families = {facts.family for facts in self.models}
        return self.protocol == "SIP" and families == {Family.P7940}

    @property
    def profile_protocol(self) -> Protocol | None:
        """The protocol of the profile's software; None if the profile fits any software."""
        if self.software_type is None:
            return None
        return "SCCP" if self.software_type is Software.SCCP else "SIP"
