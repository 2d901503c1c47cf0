"""The codes of webhook deliveries."""

from cisisk.model.notice import NoticeCode


class DeliveryDetail(NoticeCode):
    """The result of the last attempt."""

    ANSWERED = "webhook_answered", "status"
    NO_ANSWER = "webhook_no_answer", "seconds"
    CERTIFICATE = "webhook_certificate"
    UNREACHABLE = "webhook_unreachable", "error"
    CLOSED = "webhook_closed"


class GiveUpReason(NoticeCode):
    """Why a delivery is not tried again, if the last try does not say it."""

    SWITCHED_OFF = "webhook_switched_off"
    GONE = "webhook_gone"
    TOO_LATE = "webhook_too_late"
