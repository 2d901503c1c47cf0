"""The switch between the fast path and the plain path."""

import logging
import os
from collections.abc import Mapping

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.tftp.fastpath import memory
from cisisk.provisioning.tftp.fastpath.ports import FastPorts
from cisisk.provisioning.tftp.fastpath.requests import BatchReader
from cisisk.provisioning.tftp.fastpath.transfer import FastTransfer
from cisisk.provisioning.tftp.path import PLAIN, DatagramPath

VARIABLE = "CISISK_TFTP_FASTPATH"
"""0 selects the plain path; 1, or no value, the fast path where the system supports it. For support: the paths differ
in speed only."""

FAST = DatagramPath(name="fast", new_transfer=FastTransfer, new_ports=FastPorts, new_reader=BatchReader)

log = logging.getLogger(__name__)


def choose_path(environ: Mapping[str, str] = os.environ) -> DatagramPath:
    """Return the fast path, unless it is switched off or not supported here. Logs the choice of the plain path.

    Raises:
        ConfigurationError: the variable is neither 0 nor 1.
    """
    value = environ.get(VARIABLE, "")
    if value not in {"", "0", "1"}:
        raise ConfigurationError(f"{VARIABLE}: must be 0 or 1, not {value!r}")
    reason = f"{VARIABLE}=0" if value == "0" else memory.unsupported_reason()
    if reason is None:
        return FAST
    log.warning("TFTP uses plain sockets, slower in boot storms: reason=%r", reason)
    return PLAIN
