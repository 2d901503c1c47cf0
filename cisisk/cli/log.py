"""The log on standard error, as text or as one JSON object a line."""

import json
import logging
import sys

from cisisk.config import LogSettings
from cisisk.model.clock import now


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": now(), "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(settings: LogSettings) -> None:
    """Send the log of the whole process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    # systemd and Docker put a time before each line themselves.
    handler.setFormatter(
        _Json() if settings.format == "json" else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
