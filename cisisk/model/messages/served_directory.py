"""Sentences of :mod:`cisisk.model.codes.served_directory`."""

from cisisk.model.codes.served_directory import ServedDirectoryProblem
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    ServedDirectoryProblem.GONE: N_(
        "The served directory was moved away or deleted. Put it back; Cisisk finds it within seconds."
    ),
    ServedDirectoryProblem.FAILED: N_("The served directory cannot be read: {error}. Check its disk or mount."),
    ServedDirectoryProblem.NOT_ANSWERING: N_(
        "The served directory has not answered for {seconds:.0f} s. Check its disk or mount."
    ),
    ServedDirectoryProblem.FILES_UNREADABLE: N_(
        "Cisisk may not read {files} file(s) of the served directory, so no phone gets them. Let the user of the Cisisk"
        " process read them; the log names one."
    ),
}
