"""Sentences of :mod:`cisisk.model.codes.asterisk`."""

from cisisk.model.codes.asterisk import AsteriskProblem, RegistrationDoubt, RegistrationEvidence, SetupProblem
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    AsteriskProblem.NOT_CONNECTED: N_("Asterisk is not connected"),
    AsteriskProblem.CONNECTION_FAILED: N_("Asterisk at {host} port {port} is not connected: {reason}"),
    AsteriskProblem.NOT_READY: N_("Asterisk is starting or stopping: it does not know {action} now"),
    AsteriskProblem.NO_ANSWER: N_("Asterisk did not answer {action} within {seconds:g} s"),
    AsteriskProblem.CONNECTION_LOST: N_("the connection to Asterisk was lost before it answered {action}"),
    AsteriskProblem.LOGIN_LATE: N_("Asterisk did not finish the login within {seconds:g} s"),
    AsteriskProblem.CONNECT_LATE: N_("no answer within {seconds:g} s"),
    AsteriskProblem.CERTIFICATE: N_("its certificate is not trusted ({reason})"),
    AsteriskProblem.SYSTEM_ERROR: N_("{error}"),
    AsteriskProblem.REFUSED: N_("Asterisk refused: {said}"),
    AsteriskProblem.REFUSED_WITHOUT_REASON: N_("Asterisk refused: no reason given"),
    AsteriskProblem.PERMISSION_DENIED: N_(
        "Asterisk denied {action}: add {permission} to the line write= of the account in manager.conf"
    ),
    AsteriskProblem.DRIVER_NOT_LOADED: N_(
        "Asterisk does not know {action}, because {driver} is not loaded: correct asterisk.channel in config.toml, or "
        "modules.conf"
    ),
    AsteriskProblem.CHAN_SCCP_NOT_LOADED: N_("Asterisk does not know {action}, because chan-sccp is not loaded"),
    AsteriskProblem.LOGIN_REFUSED: N_(
        "Asterisk refused the login: asterisk.username or asterisk.secret in config.toml is wrong, or the lines deny=, "
        "permit= and acl= of the account in manager.conf exclude the address {address}"
    ),
    AsteriskProblem.NO_TLS: N_(
        "no TLS there ({reason}): set asterisk.tls = false in config.toml, or asterisk.port to that of tlsbindaddr= in "
        "manager.conf"
    ),
    AsteriskProblem.NO_GREETING: N_(
        "it closed the connection without the greeting of the manager interface: if asterisk.port is the port of "
        "tlsbindaddr= in manager.conf, set asterisk.tls = true in config.toml"
    ),
    AsteriskProblem.NOT_AMI: N_("what answers at {host} port {port} is not Asterisk's manager interface"),
    AsteriskProblem.STATE_UNKNOWN: N_('Asterisk reports the state "{state}" of {device}'),
    AsteriskProblem.ENDLESS_MESSAGE: N_("Asterisk sent a message without an end"),
    AsteriskProblem.TOO_MANY_ITEMS: N_("Asterisk listed more than {items} items for {action}"),
    AsteriskProblem.HEADER_INVALID: N_("{header!r} is not an AMI header"),
    AsteriskProblem.VALUE_BREAKS_LINE: N_("the value for {header} holds a line end or a NUL"),
    AsteriskProblem.VALUE_TOO_LONG: N_("the value for {header} is too long for Asterisk"),
    RegistrationEvidence.ENDPOINT: N_("endpoint {name} registered from {address}"),
    RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID: N_("endpoint {name} registered from {address} with a new Call-ID"),
    RegistrationEvidence.PEER: N_("peer {name} registered from {address}"),
    RegistrationEvidence.PEER_WITH_NEW_CALL_ID: N_("peer {name} registered from {address} with a new Call-ID"),
    RegistrationEvidence.SCCP_DEVICE: N_("{name} registered at chan-sccp"),
    RegistrationEvidence.ENDPOINT_AGAIN: N_("endpoint {name} registered again from {address} after the fetch"),
    RegistrationEvidence.PEER_AGAIN: N_("peer {name} registered again from {address} after the fetch"),
    RegistrationDoubt.ABSENT: N_("the line of the new config is not registered"),
    RegistrationDoubt.NOT_LATER: N_(
        "the line is registered, but the call manager does not show whether the phone registered before or after its "
        "restart"
    ),
    RegistrationDoubt.ELSEWHERE: N_("the line is registered from an address that is not known as the phone's"),
    RegistrationDoubt.SILENT: N_("the line is registered, but the phone does not answer the call manager"),
    RegistrationDoubt.AMBIGUOUS: N_("more than one contact of the line has registered from the phone's address"),
    RegistrationDoubt.NO_LINE: N_("the config names no line by which the phone could be recognised"),
    RegistrationDoubt.OTHER_LINE: N_("the first line of the new config is not registered, but another one is"),
    RegistrationDoubt.INTERRUPTED: N_(
        "the line is not registered, but the connection to the call manager was lost after the fetch, and the call "
        "manager may have lost the registration"
    ),
    RegistrationDoubt.UNANSWERED: N_("the call manager did not list its registrations"),
    SetupProblem.NO_REGISTRATIONS: N_("Cisisk cannot see whether phones have registered: {reason}"),
    SetupProblem.NO_CALLS: N_("Cisisk cannot tell whether a phone is in a call: {reason}"),
    SetupProblem.NO_RESTARTS: N_("{method} cannot restart phones: {reason}"),
    SetupProblem.NO_EVENTS: N_(
        "Asterisk has not reported that it has started: add system,call to the line read= of the account in "
        "manager.conf, or Cisisk notices registrations and calls late"
    ),
    SetupProblem.NO_TEMPLATE: N_("ami-command cannot restart phones: sip_notify.conf has no section [{template}]"),
    SetupProblem.NO_CALL_ID_STOCK: N_(
        "ami-sip cannot restart phones: this chan_sip shows no Call-ID. It has no usecallmanager patch, or that for "
        "Asterisk 22.2 or 22.3. Install the patch, for Asterisk 22 that for 22.5 or later"
    ),
    SetupProblem.NO_CALL_ID_22_4: N_(
        "ami-sip cannot restart phones: the usecallmanager patch for Asterisk 22.4 shows no Call-ID. Install that for "
        "22.5 or later"
    ),
    SetupProblem.STARTING: N_("Asterisk is starting"),
}
