"""Sentences of :mod:`cisisk.model.codes.webhook`."""

from cisisk.model.codes.webhook import DeliveryDetail, GiveUpReason
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    DeliveryDetail.ANSWERED: N_("answered {status}"),
    DeliveryDetail.NO_ANSWER: N_("no answer within {seconds:g} s"),
    DeliveryDetail.CERTIFICATE: N_("its certificate is not one that this machine trusts for that name"),
    DeliveryDetail.UNREACHABLE: N_("cannot be reached: {error}"),
    DeliveryDetail.CLOSED: N_("closed the connection without an answer that can be read"),
    GiveUpReason.SWITCHED_OFF: N_("The webhook was switched off"),
    GiveUpReason.GONE: N_("The receiver wants nothing more (410)"),
    GiveUpReason.TOO_LATE: N_("It could not be delivered in time"),
}
