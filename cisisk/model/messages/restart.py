"""Sentences of :mod:`cisisk.model.codes.restart`."""

from cisisk.model.codes.restart import RestartNotice, RestartRefusal, Sequel, SipMeaning
from cisisk.model.messages.marker import N_

_REFUSALS: dict[str, str] = {
    RestartRefusal.ADDRESS_UNKNOWN: N_(
        "the phone's address is not known: it has not fetched anything from Cisisk yet, and its phone_ip is not set"
    ),
    RestartRefusal.MODEL_UNKNOWN: N_("the phone's model is not known, and the keys that restart it depend on it"),
    RestartRefusal.LINE_NAME_UNKNOWN: N_(
        "the name of the phone's first line is not known: it has been served no config that can be read"
    ),
    RestartRefusal.REGISTRATION_NOT_ASKED: N_("the call manager was not asked who the phone is"),
    RestartRefusal.IN_CALL: N_("the phone is in a call"),
    RestartRefusal.HTTP_NO_ANSWER: N_("the phone at {address} did not answer within {seconds:g} s"),
    RestartRefusal.HTTP_CONNECTION_REFUSED: N_(
        "the phone at {address} refused the connection to port {port}: its web access is off (webAccess in its "
        "config), or it is just starting"
    ),
    RestartRefusal.HTTP_UNREACHABLE: N_("the phone at {address} cannot be reached: {error}"),
    RestartRefusal.HTTP_CLOSED: N_(
        "the phone at {address} closed the connection without an answer that can be read; it may or may not have "
        "executed the command"
    ),
    RestartRefusal.HTTP_FORBIDDEN: N_(
        "the phone at {address} rejected every login (HTTP {status}): its web access is restricted"
    ),
    RestartRefusal.HTTP_STATUS: N_(
        "the phone at {address} answered HTTP {status}; a Cisco phone answers CGI/Execute with 200"
    ),
    RestartRefusal.NOT_A_PHONE: N_("what answers at {address} is not a Cisco phone"),
    RestartRefusal.COMMAND_UNREADABLE: N_("the phone could not read the command"),
    RestartRefusal.ANSWER_UNFRAMED: N_("the phone could not frame an answer"),
    RestartRefusal.FILE_ERROR: N_("the phone has an internal file error"),
    RestartRefusal.ERROR: N_("the phone answered error {number}"),
    RestartRefusal.ITEM_UNREADABLE: N_("the phone could not read it"),
    RestartRefusal.ITEM_UNKNOWN: N_("the phone does not know it, or cannot do it now"),
    RestartRefusal.ITEM_STATUS: N_("the phone answered status {status}"),
    RestartRefusal.OTHER_PHONE: N_("another phone has its address now: {device!r}"),
    RestartRefusal.CREDENTIALS_REFUSED: N_("the phone did not accept the credentials although Cisisk vouched for them"),
    RestartRefusal.CREDENTIALS_NOT_CHECKED: N_(
        "the phone did not accept the credentials: the authenticationURL of the config it runs does not lead to "
        "Cisisk, and phone_http.username is not one that it accepts"
    ),
    RestartRefusal.KEYS_UNKNOWN: N_("no key sequence that restarts a {model} is published"),
    RestartRefusal.SIP_NO_ANSWER: N_(
        "no answer over SIP from {transport} port {port} of {address} within {seconds:g} s"
    ),
    RestartRefusal.SIP_ONLY_PROVISIONAL: N_("the phone is trying, but has not answered over SIP within {seconds:g} s"),
    RestartRefusal.SIP_NO_CONNECTION: N_(
        "no SIP connection to {transport} port {port} of {address} within {seconds:g} s"
    ),
    RestartRefusal.SIP_CONNECTION_REFUSED: N_(
        "nothing answers SIP at {transport} port {port} of {address}: the phone uses another transport, or is just "
        "starting"
    ),
    RestartRefusal.SIP_UNREACHABLE: N_("no SIP with {transport} port {port} of {address}: {error}"),
    RestartRefusal.SIP_STATUS: N_("the phone answered {status} over SIP: {meaning}"),
    RestartRefusal.SIP_LINE_UNSENDABLE: N_("the name of the phone's line cannot stand in a SIP message"),
    RestartRefusal.SIP_CREDENTIALS_REFUSED: N_("the phone did not accept phone_sip.username and its password over SIP"),
    RestartRefusal.SIP_CREDENTIALS_MISSING: N_(
        "the phone asks for credentials over SIP ({status}), and phone_sip.username is not set"
    ),
    RestartRefusal.SIP_CHALLENGE_UNKNOWN: N_(
        "the phone asks for credentials over SIP ({status}) in a way that Cisisk does not know; it knows MD5"
    ),
    RestartRefusal.SIP_OVER_TLS: N_("the phone speaks SIP over TLS, with its call manager alone"),
    RestartRefusal.SIP_NEEDS_CALL_ID: N_(
        "the phone obeys only a NOTIFY that names the Call-ID of its registration, which its call manager alone knows"
    ),
    RestartRefusal.SIP_CALL_ID_MALFORMED: N_(
        "the Call-ID of the phone's registration has characters that no Call-ID has"
    ),
    RestartRefusal.SCCP_PHONE: N_("the phone speaks SCCP, and no SIP"),
    RestartRefusal.ASTERISK_NOT_SET: N_("no Asterisk is set (asterisk.host)"),
    RestartRefusal.ASTERISK_CHANNEL: N_('passed over, because asterisk.channel is "{channel}"'),
    RestartRefusal.ASTERISK_SLOW: N_("Asterisk did not say within {seconds:g} s who the phone is"),
    RestartRefusal.ASTERISK_UNKNOWN_PEER: N_("the phone is not registered at Asterisk any more"),
    RestartRefusal.COMMAND_UNKNOWN_PEER: N_("the phone is not registered at Asterisk any more ({command})"),
    RestartRefusal.ASTERISK_NO_NOTIFY_TYPE: N_("sip_notify.conf has no such section ({command})"),
    RestartRefusal.ASTERISK_NO_CHAN_SIP: N_("Asterisk has no chan_sip loaded ({command})"),
    RestartRefusal.ASTERISK_NOT_SENT: N_("Asterisk did not say that it sends a NOTIFY ({command})"),
    RestartRefusal.REGISTRATION_CHANGED: N_("the phone's registration at Asterisk has just changed"),
    RestartRefusal.CALL_ID_NOT_SHOWN: N_("Asterisk does not show the Call-ID of the phone's registration"),
    RestartRefusal.CALL_ID_NOT_SHOWN_BY_CHAN_SIP: N_(
        "Asterisk does not show the Call-ID of the phone's registration: its chan_sip lacks the usecallmanager patch, "
        "or has that for Asterisk 22.2 to 22.4"
    ),
    RestartRefusal.CALL_ID_UNUSABLE: N_("the Call-ID of the phone's registration is not one that can be passed on"),
    RestartRefusal.SCCP_UNKNOWN_DEVICE: N_("chan-sccp does not know the phone"),
    RestartRefusal.SCCP_NOT_REGISTERED: N_("the phone is not registered at chan-sccp"),
    RestartRefusal.NO_ADDRESS_TO_FIND: N_(
        "the phone's address is not known, and without it Cisisk cannot tell which registration is the phone's"
    ),
    RestartRefusal.NOT_REGISTERED: N_("no phone is registered at Asterisk from {address}"),
    RestartRefusal.REGISTRATION_ENDED: N_("the phone at {address} has just ended its registration"),
    RestartRefusal.REGISTERED_TWICE: N_("the endpoint {endpoint} is registered more than once from {address}"),
    RestartRefusal.REGISTRATION_AMBIGUOUS: N_("more than one phone or line is registered from {address}: {names}"),
    RestartRefusal.PEER_NAME_UNUSABLE: N_("the peer {peer!r} has a name that cannot be passed on to Asterisk"),
}
_MEANINGS: dict[str, str] = {
    SipMeaning.WRONG_CALL_ID: N_(
        "it takes a restart only from its call manager, or has registered there anew meanwhile"
    ),
    SipMeaning.FORBIDDEN: N_("it forbids it"),
    SipMeaning.UNKNOWN_LINE: N_(
        "none of its lines has that name: it runs another config than the last one it was served"
    ),
    SipMeaning.NO_NOTIFY: N_("it takes no NOTIFY"),
    SipMeaning.TOO_LATE: N_("it did not process the request in time"),
    SipMeaning.TOO_LONG: N_("the message is too long for it"),
    SipMeaning.BODY_TYPE: N_("it does not take this kind of body"),
    SipMeaning.EXTENSION: N_("it requires an extension that Cisisk does not know"),
    SipMeaning.UNAVAILABLE: N_("it is not available now"),
    SipMeaning.NO_SUBSCRIPTION: N_("it expects a subscription first"),
    SipMeaning.LOOP: N_("the message has gone round in a loop"),
    SipMeaning.TOO_MANY_HOPS: N_("the message has passed through too many servers"),
    SipMeaning.ADDRESS_INCOMPLETE: N_("it finds the address incomplete"),
    SipMeaning.ADDRESS_AMBIGUOUS: N_("it finds the address ambiguous"),
    SipMeaning.BUSY: N_("it is busy"),
    SipMeaning.NOT_ACCEPTABLE: N_("it does not accept what was said"),
    SipMeaning.UNKNOWN_EVENT: N_("it does not know this event"),
    SipMeaning.REQUEST_PENDING: N_("it is busy with another request"),
    SipMeaning.OWN_ERROR: N_("it has an internal error"),
    SipMeaning.OVERLOADED: N_("it is overloaded, or just starting"),
    SipMeaning.VERSION: N_("it speaks another version of SIP"),
    SipMeaning.DECLINED: N_("it declines"),
    SipMeaning.REDIRECTED: N_("it redirects the request to another peer"),
    SipMeaning.REFUSED: N_("it refused"),
    SipMeaning.FAILED: N_("it failed"),
}
_NOTICES: dict[str, str] = {
    RestartNotice.ACCEPTED: N_("{method}: {action}"),
    RestartNotice.SENT: N_("{method}: {action} sent; the phone's answer is not shown"),
    RestartNotice.REFUSED: N_("{reasons}. {sequel}"),
    RestartNotice.REFUSED_BY: N_("{methods}: {reason}"),
    RestartNotice.NO_METHOD: N_("No restart method is configured for the software of this phone ([restart])"),
    RestartNotice.NOT_NEEDED: N_("Not restarted: the phone has not taken the config that is taken back"),
    RestartNotice.NEEDED_AFTER_ALL: N_("The phone took the config while it was being taken back. It has to restart"),
    RestartNotice.SUPERSEDED: N_(
        "A newer switch of this phone was accepted meanwhile, and the restart is left to that one"
    ),
    RestartNotice.STOPPED: N_("Cisisk was stopped before the phone accepted a restart. {sequel}"),
    RestartNotice.CUT_OFF: N_("The switch was cut off before it was known whether the phone restarts. {sequel}"),
    RestartNotice.NOT_TRIED: N_("Not restarted yet"),
    RestartNotice.NOT_TRIED_BECAUSE: N_("Not restarted. {sequel}"),
    RestartNotice.DEFERRED: N_("Deferred: the switch begins at {at}"),
    RestartNotice.DEFERRED_UNTIL_IDLE: N_("Deferred: the switch begins as soon as the phone is in no call"),
}
_SEQUELS: dict[str, str] = {
    Sequel.AT_NEXT_BOOT: N_("The phone takes the config at its next boot"),
    Sequel.WHEN_RUNNING: N_("It is tried again when Cisisk runs again"),
    Sequel.IF_NOT_FETCHED: N_("If the phone does not come for the config, Cisisk restarts it again"),
    Sequel.CANCELLED: N_("The switch was cancelled before it began"),
    Sequel.FAILED: N_("The switch has failed: {failure}"),
    Sequel.ROLLED_BACK: N_("The phone is served again what it was served before"),
    Sequel.FETCHED: N_("The phone has taken the config nevertheless"),
    Sequel.REPLACED: N_("Another config has replaced this one"),
}
TEMPLATES = {**_REFUSALS, **_MEANINGS, **_NOTICES, **_SEQUELS}
