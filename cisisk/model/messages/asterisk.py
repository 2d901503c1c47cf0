"""Sentences of :mod:`cisisk.model.codes.asterisk`."""

from cisisk.model.codes.asterisk import AsteriskProblem, RegistrationEvidence
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
        "Asterisk denied the permission: the account in asterisk.username needs write=system,reporting in manager.conf "
        "(and command for ami-command)"
    ),
    AsteriskProblem.LOGIN_REFUSED: N_("Asterisk refused the login: asterisk.username or asterisk.secret is wrong"),
    AsteriskProblem.NOT_AMI: N_("what answers at {host} port {port} is not Asterisk's manager interface"),
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
}
