"""Cisisk: extension mobility for Cisco desk phones, without a Cisco call manager."""

from importlib.metadata import version

__version__ = version("cisisk")
