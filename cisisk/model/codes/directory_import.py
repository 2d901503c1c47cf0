"""The codes of notes on the files of a directory import."""

from cisisk.model.notice import NoticeCode


class ImportNoteCode(NoticeCode):
    """Why a file was not imported, or what is unusual about it."""

    PASSED_OVER = "import_passed_over"
    SAME_PHONE = "import_same_phone", "path"
    SAME_LINE = "import_same_line", "line", "path"
    CONFIG_COPY = "import_config_copy"
    SIGNED_CONFIG = "import_signed_config"
    CONFIG_NOT_SERVED = "import_config_not_served"
    FILE_EXISTS = "import_file_exists"
    UNREADABLE = "import_unreadable", "error"
