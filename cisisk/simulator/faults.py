"""Faults of a simulated phone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Faults that last as long as the phone object.

    Attributes:
        refuse_restart: ``Init:Restart`` is not executable on any model, and key macros do nothing.
        slow_web: delay of every response of the web server, in seconds.
        silent: the web server accepts connections and never answers.
        web_off: the web server is off: connections are refused.
        lose_last_ack: the last acknowledgement of the first TFTP file is lost; the phone answers the retransmission.
        never_register: the phone does not register.
        never_fetch: the phone fetches no file after a restart and keeps its first config.
    """

    refuse_restart: bool = False
    slow_web: float = 0.0
    silent: bool = False
    web_off: bool = False
    lose_last_ack: bool = False
    never_register: bool = False
    never_fetch: bool = False


NO_FAULTS = Faults()
