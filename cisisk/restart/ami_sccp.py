"""SCCPDeviceRestart of chan-sccp (docs/phone-protocol/asterisk.md#sccp-device-restart).

Always Type reset: according to Cisco's reference, an SCCP phone that restarts does not fetch its files. The action
ignores calls, so they are checked first.
"""

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.target import InCall, NotRestarted, Target
from cisisk.pbx.connection import AsteriskRefused
from cisisk.restart.ami_method import AmiMethod, refusals

_REFUSALS = {
    "device not found": RestartRefusal.SCCP_UNKNOWN_DEVICE,
    "device not registered": RestartRefusal.SCCP_NOT_REGISTERED,
}


class AmiSccp(AmiMethod):
    """Have chan-sccp reset the phone."""

    name = "ami-sccp"

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; accepted means that the reset was sent to the phone.

        Raises:
            InCall: the phone has an active call, which a reset would end.
        """
        asterisk = self._asterisk()
        name = target.mac.device_name
        with refusals():
            devices = await asterisk.listing("SCCPListDevices")
            own = [device for device in devices if device.get("objectid").upper() == name]
            if not own:
                raise NotRestarted(RestartRefusal.SCCP_UNKNOWN_DEVICE.notice())
            if own[0].get("active").lower() == "yes":
                raise InCall(RestartRefusal.IN_CALL.notice())
            try:
                await asterisk.action("SCCPDeviceRestart", [("DeviceName", name), ("Type", "reset")])
            except AsteriskRefused as error:
                if (refusal := _REFUSALS.get(error.said.lower())) is None:
                    raise
                raise NotRestarted(refusal.notice()) from error
