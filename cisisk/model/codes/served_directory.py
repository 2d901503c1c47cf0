"""The codes of what is wrong with the served directory."""

from cisisk.model.notice import NoticeCode


class ServedDirectoryProblem(NoticeCode):
    """Why phones do not get the files of the served directory. The values are part of the API and do not change."""

    GONE = "served_directory_gone"
    """It was moved away or deleted, and nothing has taken its place."""
    FAILED = "served_directory_failed", "error"
    """The system cannot read it."""
    NOT_ANSWERING = "served_directory_not_answering", "seconds"
    """Reading it has not ended: a file server that is away."""
    FILES_UNREADABLE = "served_files_unreadable", "files"
    """It has files and folders that the user of the Cisisk process may not read."""
