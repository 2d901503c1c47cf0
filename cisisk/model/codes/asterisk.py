"""The codes of what Asterisk's manager interface refuses, and of what it shows."""

from cisisk.model.notice import NoticeCode


class AsteriskProblem(NoticeCode):
    """Why Asterisk did not do what it was asked."""

    NOT_CONNECTED = "asterisk_not_connected"
    CONNECTION_FAILED = "asterisk_connection_failed", "host", "port", "reason"
    NOT_READY = "asterisk_not_ready", "action"
    NO_ANSWER = "asterisk_no_answer", "action", "seconds"
    CONNECTION_LOST = "asterisk_connection_lost", "action"
    LOGIN_LATE = "asterisk_login_late", "seconds"
    CONNECT_LATE = "asterisk_connect_late", "seconds"
    CERTIFICATE = "asterisk_certificate", "reason"
    SYSTEM_ERROR = "asterisk_system_error", "error"
    REFUSED = "asterisk_refused", "said"
    REFUSED_WITHOUT_REASON = "asterisk_refused_without_reason"
    PERMISSION_DENIED = "asterisk_permission_denied", "action", "permission"
    DRIVER_NOT_LOADED = "asterisk_driver_not_loaded", "action", "driver"
    CHAN_SCCP_NOT_LOADED = "asterisk_chan_sccp_not_loaded", "action"
    LOGIN_REFUSED = "asterisk_login_refused", "address"
    NO_TLS = "asterisk_no_tls", "reason"
    NO_GREETING = "asterisk_no_greeting"
    NOT_AMI = "asterisk_not_ami", "host", "port"
    STATE_UNKNOWN = "asterisk_state_unknown", "device", "state"
    ENDLESS_MESSAGE = "asterisk_endless_message"
    TOO_MANY_ITEMS = "asterisk_too_many_items", "items", "action"
    HEADER_INVALID = "ami_header_invalid", "header"
    VALUE_BREAKS_LINE = "ami_value_breaks_line", "header"
    VALUE_TOO_LONG = "ami_value_too_long", "header"


class RegistrationEvidence(NoticeCode):
    """What shows that a phone has registered."""

    ENDPOINT = "endpoint_registered", "name", "address"
    ENDPOINT_WITH_NEW_CALL_ID = "endpoint_registered_with_new_call_id", "name", "address"
    PEER = "peer_registered", "name", "address"
    PEER_WITH_NEW_CALL_ID = "peer_registered_with_new_call_id", "name", "address"
    SCCP_DEVICE = "sccp_device_registered", "name"
    ENDPOINT_AGAIN = "endpoint_registered_again", "name", "address"
    PEER_AGAIN = "peer_registered_again", "name", "address"


class RegistrationDoubt(NoticeCode):
    """Why no registration is shown that is later than the fetch. Only :attr:`ABSENT` shows that there is none."""

    ABSENT = "registration_absent"
    NOT_LATER = "registration_not_later"
    ELSEWHERE = "registration_elsewhere"
    SILENT = "registration_silent"
    AMBIGUOUS = "registration_contacts_ambiguous"
    NO_LINE = "registration_line_unknown"
    OTHER_LINE = "registration_of_other_line"
    UNANSWERED = "registration_unanswered"
    INTERRUPTED = "registration_interrupted"


class SetupProblem(NoticeCode):
    """What in the settings of Asterisk or of Cisisk keeps a part of the work from being done."""

    NO_REGISTRATIONS = "asterisk_shows_no_registrations", "reason"
    NO_CALLS = "asterisk_shows_no_calls", "reason"
    NO_RESTARTS = "asterisk_restarts_no_phones", "method", "reason"
    NO_EVENTS = "asterisk_sends_no_events"
    NO_TEMPLATE = "asterisk_lacks_template", "template"
    NO_CALL_ID_STOCK = "asterisk_shows_no_call_id"
    NO_CALL_ID_22_4 = "asterisk_shows_no_call_id_22_4"
    STARTING = "asterisk_is_starting"
