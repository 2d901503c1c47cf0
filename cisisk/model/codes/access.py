"""The codes of access alarms: clients that request the files of other phones."""

from cisisk.model.notice import NoticeCode


class AlarmCode(NoticeCode):
    """What a client did."""

    ENUMERATION = "access_enumeration", "host", "devices", "seconds", "result"
    DECOY = "access_decoy", "host", "asked", "result"
    ELSEWHERE = "access_elsewhere", "host", "result"
    FLOOD = "access_flood", "result"


class AlarmResult(NoticeCode):
    """What the access policy did."""

    REFUSED = "access_refused", "count", "examples"
    REFUSED_WITHOUT_FILE = "access_refused_without_file"
    OBSERVED = "access_observed", "count", "examples"
    """Mode ``observe``: nothing was refused."""
    OBSERVED_WITHOUT_FILE = "access_observed_without_file"
