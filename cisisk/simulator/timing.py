"""Timeouts and delays of a simulated phone."""

from dataclasses import dataclass, field

from cisisk.simulator.tftp_client import TftpRetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Timeouts and delays in seconds. The defaults are those of a real phone.

    Attributes:
        tftp: retransmission of TFTP packets.
        http: timeout for one file from the provisioning server; then the phone tries TFTP.
        authentication: timeout for the response of ``authenticationURL``.
        services: timeout for one page of an XML service.
        refresh_factor: multiplies the delay of a page's ``Refresh`` header; 0 does not wait.
        registration: timeout for the response to a REGISTER or INVITE (RFC 3261, timer F).
        registration_retry: delay between a failed REGISTER and the next one.
        unregister: timeout for the response to the REGISTER that removes a registration before a restart.
        min_refresh: shortest interval between two REGISTER requests, however short the granted lifetime.
        offline: delay between the restart and the first request (a reset takes 20 to 60 s).
        boot_pause: delay after a boot that failed because the server did not answer.
    """

    tftp: TftpRetry = field(default_factory=TftpRetry)
    http: float = 10.0
    authentication: float = 5.0
    services: float = 10.0
    refresh_factor: float = 1.0
    registration: float = 32.0
    registration_retry: float = 30.0
    unregister: float = 1.0
    min_refresh: float = 5.0
    offline: float = 20.0
    boot_pause: float = 10.0
