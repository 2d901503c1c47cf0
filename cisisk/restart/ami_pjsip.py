"""A NOTIFY through Asterisk's PJSIP (AMI PJSIPNotify, res/res_pjsip_notify.c).

Source: docs/phone-protocol/asterisk.md#pjsip-notify

It goes to every contact of the endpoint. Only the phone whose Call-ID it names restarts. "NOTIFY sent" means queued:
Asterisk does not report the phone's answer.
"""

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.target import NotRestarted, Target
from cisisk.restart import service_control
from cisisk.restart.ami_method import AmiMethod, refusals


class AmiPjsip(AmiMethod):
    """Have PJSIP ask the phone to restart."""

    name = "ami-pjsip"

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; accepted means that Asterisk has queued the NOTIFY."""
        asterisk = self._asterisk_with("pjsip")
        registration = target.require_registration()
        if not registration.call_id and not target.reads_flat_config:
            raise NotRestarted(RestartRefusal.CALL_ID_NOT_SHOWN.notice())
        variables = service_control.variables_for(target, registration.call_id)
        with refusals():
            await asterisk.action("PJSIPNotify", [("Endpoint", registration.peer), *variables])
