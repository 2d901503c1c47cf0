"""The codes of restarts: why a method was refused, and what is said of a restart as a whole."""

from cisisk.model.notice import NoticeCode


class RestartRefusal(NoticeCode):
    """Why a restart method did not restart the phone."""

    # What is known of the phone
    ADDRESS_UNKNOWN = "phone_address_unknown"
    MODEL_UNKNOWN = "phone_model_unknown"
    LINE_NAME_UNKNOWN = "phone_line_name_unknown"
    REGISTRATION_NOT_ASKED = "registration_not_asked"
    IN_CALL = "restart_phone_in_call"

    # Over HTTP
    HTTP_NO_ANSWER = "phone_http_no_answer", "address", "seconds"
    HTTP_CONNECTION_REFUSED = "phone_http_connection_refused", "address", "port"
    HTTP_UNREACHABLE = "phone_http_unreachable", "address", "error"
    HTTP_CLOSED = "phone_http_closed", "address"
    HTTP_FORBIDDEN = "phone_http_forbidden", "address", "status"
    HTTP_STATUS = "phone_http_status", "address", "status"
    NOT_A_PHONE = "not_a_cisco_phone", "address"
    COMMAND_UNREADABLE = "phone_command_unreadable"
    ANSWER_UNFRAMED = "phone_answer_unframed"
    FILE_ERROR = "phone_file_error"
    ERROR = "phone_error", "number"
    ITEM_UNREADABLE = "phone_item_unreadable"
    ITEM_UNKNOWN = "phone_item_unknown"
    ITEM_STATUS = "phone_item_status", "status"
    OTHER_PHONE = "other_phone_at_address", "device"
    CREDENTIALS_REFUSED = "phone_credentials_refused"
    CREDENTIALS_NOT_CHECKED = "phone_credentials_not_checked"
    KEYS_UNKNOWN = "phone_keys_unknown", "model"

    # Over SIP, without the call manager
    SIP_NO_ANSWER = "phone_sip_no_answer", "transport", "port", "address", "seconds"
    SIP_ONLY_PROVISIONAL = "phone_sip_only_provisional", "seconds"
    SIP_NO_CONNECTION = "phone_sip_no_connection", "transport", "port", "address", "seconds"
    SIP_CONNECTION_REFUSED = "phone_sip_connection_refused", "transport", "port", "address"
    SIP_UNREACHABLE = "phone_sip_unreachable", "transport", "port", "address", "error"
    SIP_STATUS = "phone_sip_status", "status", "meaning"
    SIP_LINE_UNSENDABLE = "phone_sip_line_unsendable"
    SIP_CREDENTIALS_REFUSED = "phone_sip_credentials_refused"
    SIP_CREDENTIALS_MISSING = "phone_sip_credentials_missing", "status"
    SIP_CHALLENGE_UNKNOWN = "phone_sip_challenge_unknown", "status"
    SIP_OVER_TLS = "phone_sip_over_tls"
    SIP_NEEDS_CALL_ID = "phone_sip_needs_call_id"
    SIP_CALL_ID_MALFORMED = "phone_sip_call_id_malformed"
    SCCP_PHONE = "phone_speaks_sccp"

    # Through Asterisk
    ASTERISK_NOT_SET = "asterisk_not_set"
    ASTERISK_CHANNEL = "asterisk_channel", "channel"
    ASTERISK_SLOW = "asterisk_slow", "seconds"
    ASTERISK_UNKNOWN_PEER = "asterisk_unknown_peer"
    COMMAND_UNKNOWN_PEER = "asterisk_command_unknown_peer", "command"
    ASTERISK_NO_NOTIFY_TYPE = "asterisk_no_notify_type", "command"
    ASTERISK_NO_CHAN_SIP = "asterisk_no_chan_sip", "command"
    ASTERISK_NOT_SENT = "asterisk_not_sent", "command"
    REGISTRATION_CHANGED = "registration_changed"
    CALL_ID_NOT_SHOWN = "call_id_not_shown"
    CALL_ID_NOT_SHOWN_BY_CHAN_SIP = "call_id_not_shown_by_chan_sip"
    CALL_ID_UNUSABLE = "call_id_unusable"
    SCCP_UNKNOWN_DEVICE = "sccp_unknown_device"
    SCCP_NOT_REGISTERED = "sccp_not_registered"

    # Which registration is the phone's
    NO_ADDRESS_TO_FIND = "registration_needs_address"
    NOT_REGISTERED = "phone_not_registered", "address"
    REGISTRATION_ENDED = "registration_ended", "address"
    REGISTERED_TWICE = "endpoint_registered_twice", "endpoint", "address"
    REGISTRATION_AMBIGUOUS = "registration_ambiguous", "address", "names"
    PEER_NAME_UNUSABLE = "peer_name_unusable", "peer"


class SipMeaning(NoticeCode):
    """What a phone means by the status of its SIP response."""

    WRONG_CALL_ID = "sip_wrong_call_id"
    FORBIDDEN = "sip_forbidden"
    UNKNOWN_LINE = "sip_unknown_line"
    NO_NOTIFY = "sip_no_notify"
    TOO_LATE = "sip_too_late"
    TOO_LONG = "sip_too_long"
    BODY_TYPE = "sip_body_type"
    EXTENSION = "sip_extension"
    UNAVAILABLE = "sip_unavailable"
    NO_SUBSCRIPTION = "sip_no_subscription"
    LOOP = "sip_loop"
    TOO_MANY_HOPS = "sip_too_many_hops"
    ADDRESS_INCOMPLETE = "sip_address_incomplete"
    ADDRESS_AMBIGUOUS = "sip_address_ambiguous"
    BUSY = "sip_busy"
    NOT_ACCEPTABLE = "sip_not_acceptable"
    UNKNOWN_EVENT = "sip_unknown_event"
    REQUEST_PENDING = "sip_request_pending"
    OWN_ERROR = "sip_own_error"
    OVERLOADED = "sip_overloaded"
    VERSION = "sip_version"
    DECLINED = "sip_declined"
    REDIRECTED = "sip_redirected"
    REFUSED = "sip_refused"
    FAILED = "sip_failed"


class RestartNotice(NoticeCode):
    """What is said of the restart of one deployment."""

    ACCEPTED = "restart_accepted", "method", "action"
    SENT = "restart_sent", "method", "action"
    REFUSED = "restart_refused", "reasons", "sequel"
    REFUSED_BY = "restart_refused_by", "methods", "reason"
    NO_METHOD = "restart_no_method"
    NOT_NEEDED = "restart_not_needed"
    NEEDED_AFTER_ALL = "restart_needed_after_all"
    SUPERSEDED = "restart_superseded"
    STOPPED = "restart_stopped", "sequel"
    CUT_OFF = "restart_cut_off", "sequel"
    NOT_TRIED = "restart_not_tried"
    NOT_TRIED_BECAUSE = "restart_not_tried_because", "sequel"
    DEFERRED = "restart_deferred", "at"
    DEFERRED_UNTIL_IDLE = "restart_deferred_until_idle"


class Sequel(NoticeCode):
    """How the reason for which no restart was triggered goes on: what is to come, or what came instead."""

    AT_NEXT_BOOT = "config_at_next_boot"
    WHEN_RUNNING = "restart_when_running"
    IF_NOT_FETCHED = "restart_if_not_fetched"
    CANCELLED = "switch_was_cancelled"
    FAILED = "switch_has_failed", "failure"
    ROLLED_BACK = "switch_was_rolled_back"
    FETCHED = "config_was_fetched"
    REPLACED = "config_was_replaced"
