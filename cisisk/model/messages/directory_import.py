"""Sentences of :mod:`cisisk.model.codes.directory_import`."""

from cisisk.model.codes.directory_import import ImportNoteCode
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    ImportNoteCode.PASSED_OVER: N_(
        "It is hidden, a device, or a link out of the directory, or it lies in a folder that is too deep or not"
        " readable."
    ),
    ImportNoteCode.SAME_PHONE: N_("It is for the same phone as {path}, which was imported."),
    ImportNoteCode.SAME_LINE: N_("The line {line} is also in {path}."),
    ImportNoteCode.CONFIG_COPY: N_("It looks like a copy of a phone's config. No phone asks for it."),
    ImportNoteCode.SIGNED_CONFIG: N_(
        "It is a signed config. Cisisk signs no files: free the phone from its trust lists, so that it takes plain"
        " ones."
    ),
    ImportNoteCode.CONFIG_NOT_SERVED: N_(
        "The phone keeps the other config that it is served. This one became a profile only."
    ),
    ImportNoteCode.FILE_EXISTS: N_("Another file of this name is served already, and stays."),
    ImportNoteCode.UNREADABLE: N_("It cannot be read: {error}"),
}
