"""Sentences of :mod:`cisisk.model.codes.deployment`."""

from cisisk.model.codes.deployment import DeploymentFailure, Misfit, RollbackRefusal, StepNotice, TimeoutNotice
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    StepNotice.RECORDED: N_("{profile}"),
    StepNotice.DEFERRED: N_("{profile}, at {at}"),
    StepNotice.DEFERRED_UNTIL_IDLE: N_("{profile}, as soon as the phone is in no call"),
    StepNotice.DEFERRED_AGAIN: N_("Cut off before it began; it begins at {at}"),
    StepNotice.DEFERRED_AGAIN_UNTIL_IDLE: N_("Cut off before it began; it begins as soon as the phone is in no call"),
    StepNotice.WRITTEN: N_("Served as {file}, and read back whole (sha256 {sha256:.12})"),
    StepNotice.FETCH_STARTED: N_("{address} has asked for it"),
    StepNotice.FETCH_BROKEN_OFF: N_("{address} has taken {acknowledged} of {size} bytes over {protocol}: {outcome}"),
    StepNotice.FETCHED: N_("{address} has taken it whole"),
    StepNotice.REGISTRATION_UNOBSERVABLE: N_("Cisisk cannot observe whether the phone registers"),
    StepNotice.REGISTRATION_NOT_SHOWN: N_("It is not shown whether the phone registered with the config: {reason}"),
    StepNotice.REPLACED_BY_PROFILE: N_("{profile} replaces it"),
    StepNotice.REPLACED_FROM_OUTSIDE: N_("The served file was changed or removed from outside Cisisk"),
    StepNotice.REPLACED_BY_FILE: N_("Another file was put in its place"),
    StepNotice.SUPERSEDED: N_("A newer switch of this phone was accepted"),
    StepNotice.PHONE_REMOVED: N_("The phone was taken out of the inventory"),
    StepNotice.CANCELLED: N_("Cancelled"),
    StepNotice.ROLLED_BACK: N_("The phone is served again what it was served before"),
    StepNotice.NOT_ROLLED_BACK: N_("Not rolled back: {reason}"),
    TimeoutNotice.NO_RESTART: N_("No restart could be triggered. The phone takes the config at its next boot"),
    TimeoutNotice.NO_RESTART_ROLLED_BACK: N_("No restart could be triggered"),
    TimeoutNotice.NO_FETCH: N_("It has not come for its config within {seconds} s after it accepted to restart"),
    TimeoutNotice.NO_REGISTRATION: N_("It has not registered within {seconds} s after it took its config"),
    DeploymentFailure.CUT_OFF: N_(
        "The switch was cut off before its file was written, or the file was replaced since: the phone is served "
        "another config"
    ),
    DeploymentFailure.DUE: N_("When it was due: {reason}"),
    RollbackRefusal.NOT_SERVED: N_("The phone is not served this deployment's config, which is {state}"),
    RollbackRefusal.NOTHING_BEFORE: N_("The phone was served no config before, and would not work without one"),
    RollbackRefusal.CHANGED_OUTSIDE: N_(
        "The served file has been changed or removed from outside Cisisk since: it is left as it is"
    ),
    RollbackRefusal.COME_FURTHER: N_("The phone has come further meanwhile: {state}"),
    Misfit.MODEL: N_("The profile is for {wanted}; the phone is a {model}"),
    Misfit.SOFTWARE: N_("The profile is for {wanted} software; the phone runs {software}"),
    Misfit.READS_FLAT_CONFIG: N_(
        "A 7940 or 7960 with SIP firmware reads its lines from SIP<MAC>.cnf, not from a SEP<MAC>.cnf.xml. Use a profile"
        " of content type cnf"
    ),
    Misfit.READS_NO_FLAT_CONFIG: N_(
        "The profile is a SIP<MAC>.cnf, which only a 7940 or 7960 reads; the phone is a {model}"
    ),
}
