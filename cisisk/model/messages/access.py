"""Sentences of :mod:`cisisk.model.codes.access`."""

from cisisk.model.codes.access import AlarmCode, AlarmResult
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    AlarmCode.ENUMERATION: N_("{host} asked for the files of {devices:,} other phones within {seconds} s. {result}"),
    AlarmCode.DECOY: N_("{host} asked for a decoy, which no phone does, among {asked:,} such requests. {result}"),
    AlarmCode.ELSEWHERE: N_("{host} asked for the file of a phone that is known at another address. {result}"),
    AlarmCode.FLOOD: N_(
        "More clients ask for the files of other phones than Cisisk can count. Their addresses are probably forged."
        " {result}"
    ),
    AlarmResult.REFUSED: N_("The files of {count:,} phone(s) were refused, for example {examples}."),
    AlarmResult.REFUSED_WITHOUT_FILE: N_("The requests were refused."),
    AlarmResult.OBSERVED: N_(
        'Nothing was refused. provisioning.access = "pin" would refuse the files of {count:,} phone(s), for example'
        " {examples}."
    ),
    AlarmResult.OBSERVED_WITHOUT_FILE: N_("No such file exists."),
}
