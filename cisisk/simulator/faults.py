"""What can be wrong with a simulated phone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Each one stays for the phone's life.

    Attributes:
        refuse_restart: ``Init:Restart`` is not executable, whatever the model, and key macros do nothing.
        slow_web: seconds until its web server answers anything.
        silent: its web server accepts connections and never answers.
        web_off: its web server is not there: the connection is refused.
        lose_last_ack: the acknowledgement that ends the first TFTP file is lost; the phone answers the repetition.
        never_register: it tells no call manager where it is.
        never_fetch: it restarts when told, but asks for no file again: it stays on its first config.
    """

    refuse_restart: bool = False
    slow_web: float = 0.0
    silent: bool = False
    web_off: bool = False
    lose_last_ack: bool = False
    never_register: bool = False
    never_fetch: bool = False


NO_FAULTS = Faults()
