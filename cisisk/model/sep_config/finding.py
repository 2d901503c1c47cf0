"""A finding: a property of a config that is legal and harmful."""

from dataclasses import dataclass

from cisisk.model.notice import Notice


@dataclass(frozen=True, slots=True)
class Finding:
    """A property of a config that is legal and harmful.

    Attributes:
        notice: a :class:`~cisisk.model.codes.config.FindingCode`; never holds a secret.
        line: of the file; None if the finding is about the whole file.
    """

    notice: Notice
    line: int | None = None

    @property
    def code(self) -> str:
        """The code of the notice."""
        return self.notice.code
