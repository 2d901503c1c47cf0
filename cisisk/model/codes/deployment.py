"""The codes of deployments: what each step says, why one failed, and why one is not rolled back."""

from cisisk.model.notice import NoticeCode


class StepNotice(NoticeCode):
    """What a step of a deployment says."""

    RECORDED = "switch_recorded", "profile"
    DEFERRED = "switch_deferred", "profile", "at"
    DEFERRED_UNTIL_IDLE = "switch_deferred_until_idle", "profile"
    DEFERRED_AGAIN = "switch_deferred_again", "at"
    DEFERRED_AGAIN_UNTIL_IDLE = "switch_deferred_again_until_idle"
    WRITTEN = "config_written", "file", "sha256"
    FETCH_STARTED = "fetch_started", "address"
    FETCH_BROKEN_OFF = "fetch_broken_off", "address", "acknowledged", "size", "protocol", "outcome"
    FETCHED = "config_fetched", "address"
    REGISTRATION_UNOBSERVABLE = "registration_unobservable"
    REGISTRATION_NOT_SHOWN = "registration_not_shown", "reason"
    REPLACED_BY_PROFILE = "config_replaced_by_profile", "profile"
    REPLACED_FROM_OUTSIDE = "config_replaced_from_outside"
    REPLACED_BY_FILE = "config_replaced_by_file"
    SUPERSEDED = "switch_superseded"
    PHONE_REMOVED = "phone_removed"
    CANCELLED = "switch_cancelled"
    ROLLED_BACK = "switch_rolled_back"
    NOT_ROLLED_BACK = "switch_not_rolled_back", "reason"


class TimeoutNotice(NoticeCode):
    """What did not happen in time."""

    NO_RESTART = "no_restart_in_time"
    NO_RESTART_ROLLED_BACK = "no_restart_before_rollback"
    NO_FETCH = "no_fetch_in_time", "seconds"
    NO_REGISTRATION = "no_registration_in_time", "seconds"


class DeploymentFailure(NoticeCode):
    """Why a config was not written; other failures carry the code of their error."""

    CUT_OFF = "cut_off_before_writing"
    DUE = "failed_when_due", "reason"


class RollbackRefusal(NoticeCode):
    """Why the phone is not served again what it was served before."""

    NOT_SERVED = "rollback_not_served", "state"
    NOTHING_BEFORE = "rollback_nothing_before"
    CHANGED_OUTSIDE = "rollback_changed_outside"
    COME_FURTHER = "rollback_come_further", "state"


class Misfit(NoticeCode):
    """Why a profile must not go to a phone."""

    MODEL = "profile_for_other_model", "wanted", "model"
    SOFTWARE = "profile_for_other_software", "wanted", "software"
    READS_FLAT_CONFIG = "phone_reads_flat_config"
    READS_NO_FLAT_CONFIG = "phone_reads_no_flat_config", "model"
