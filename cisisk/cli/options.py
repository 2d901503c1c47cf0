"""Options that commands share."""

import argparse
from pathlib import Path

from cisisk import config


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config FILE``."""
    searched = ", ".join(str(path) for path in config.SEARCHED)
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"the configuration (default: first of {searched})")


def load_settings(arguments: argparse.Namespace) -> config.Settings:
    """The settings that the options name. Raises ConfigurationError."""
    return config.load(arguments.config)
