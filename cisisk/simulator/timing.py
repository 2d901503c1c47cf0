"""How long a simulated phone takes and waits."""

from dataclasses import dataclass, field

from cisisk.simulator.tftp_client import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. The defaults are a real phone's; tests and the demo bring their own.

    Attributes:
        tftp: for one packet.
        http: for one file from the provisioning server; then the phone tries TFTP.
        authentication: for the answer of ``authenticationURL``.
        services: for one page of an XML service.
        refresh_pace: how much of the time that a page announces is waited until the next one; 0 does not wait.
        registration: for the answer to a REGISTER (RFC 3261, timer F).
        goodbye: for the answer to the REGISTER that ends a registration before a restart.
        offline: from the end of the old life to the first request of the new one (a reset takes 20 to 60 s).
        boot_pause: after a boot that failed because the server was silent.
    """

    tftp: Patience = field(default_factory=Patience)
    http: float = 10.0
    authentication: float = 5.0
    services: float = 10.0
    refresh_pace: float = 1.0
    registration: float = 32.0
    goodbye: float = 1.0
    offline: float = 20.0
    boot_pause: float = 10.0
