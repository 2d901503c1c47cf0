"""``sip notify cisco-restart <peer>`` over AMI, for installations that keep the template in sip_notify.conf.

Source: docs/phone-protocol/asterisk.md#sip-notify-command

The template fills in the Call-ID. The account needs write=command, which permits everything.
"""

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.target import NotRestarted, Target
from cisisk.restart import service_control
from cisisk.restart.ami_method import AmiMethod, refusals

_SENT = "sending notify of type"
"""The beginning of the line that the command prints for each peer (channels/chan_sip.c, sip_cli_notify)."""
_REFUSALS = {
    "could not create address": RestartRefusal.COMMAND_UNKNOWN_PEER,
    "unable to find notify type": RestartRefusal.ASTERISK_NO_NOTIFY_TYPE,
    "no such command": RestartRefusal.ASTERISK_NO_CHAN_SIP,
}


class AmiCommand(AmiMethod):
    """Have the command line of chan_sip ask the phone to restart."""

    name = "ami-command"

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; accepted means that the command reports to send a NOTIFY."""
        asterisk = self._asterisk_with("sip", "usecallmanager")
        action = service_control.action_for(target)
        command = f"sip notify cisco-{action} {target.require_registration().peer}"
        with refusals():
            reply = await asterisk.action("Command", [("Command", command)])
        printed = " ".join(reply.output).lower()
        if _SENT in printed:
            return
        refusals_printed = (refusal for text, refusal in _REFUSALS.items() if text in printed)
        refusal = next(refusals_printed, RestartRefusal.ASTERISK_NOT_SENT)
        raise NotRestarted(refusal.notice(command=command))
