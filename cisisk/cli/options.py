"""Options shared by several commands."""

import argparse
from pathlib import Path

from cisisk import config


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config FILE`` to ``parser``."""
    searched = ", ".join(str(path) for path in config.SEARCHED)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"configuration file (default: the first of {searched})"
    )


def load_settings(arguments: argparse.Namespace) -> config.Settings:
    """Return the settings of the file in ``--config``. Raises ConfigurationError."""
    return config.load(arguments.config)
