"""Logging to standard error, as text or as one JSON object per line."""

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
    """Configure the logging of the process."""
    handler = logging.StreamHandler(sys.stderr)
    # No time: systemd and Docker add it.
    handler.setFormatter(
        _Json() if settings.format == "json" else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
