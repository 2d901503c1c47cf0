"""A NOTIFY through chan_sip with the usecallmanager patch (AMI SIPnotify).

Source: docs/phone-protocol/asterisk.md#sip-notify

Up to Asterisk 20 the header for the peer is Channel, in the 22.x patch it is Peer. Each ignores the other one, so both
are sent. Without the patch chan_sip does not show the Call-ID, which the phone requires.
"""

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.target import NotRestarted, Target
from cisisk.pbx.connection import AsteriskRefused
from cisisk.restart import service_control
from cisisk.restart.ami_method import AmiMethod, refusals

_REFUSALS = {
    "could not create address": RestartRefusal.ASTERISK_UNKNOWN_PEER,
    "peer error": RestartRefusal.ASTERISK_UNKNOWN_PEER,
    "call-id not found": RestartRefusal.REGISTRATION_CHANGED,
}


class AmiSip(AmiMethod):
    """Have chan_sip ask the phone to restart."""

    name = "ami-sip"

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; accepted means that Asterisk has sent the NOTIFY."""
        asterisk = self._asterisk_with("sip", "usecallmanager")
        registration = target.require_registration()
        if not registration.call_id and not target.reads_flat_config:
            raise NotRestarted(RestartRefusal.CALL_ID_NOT_SHOWN_BY_CHAN_SIP.notice())
        variables = service_control.variables_for(target, registration.call_id)
        names = [("Channel", registration.peer), ("Peer", registration.peer)]
        with refusals():
            try:
                await asterisk.action("SIPnotify", [*names, *variables])
            except AsteriskRefused as error:
                if (refusal := _REFUSALS.get(error.said.lower())) is None:
                    raise
                raise NotRestarted(refusal.notice()) from error
