"""The codes of switch jobs."""

from cisisk.model.notice import NoticeCode


class StopReason(NoticeCode):
    """Why Cisisk stopped a job."""

    TOO_FEW = "too_few_took_config", "ended", "taken", "share", "wanted"
    TOO_FEW_LATELY = "too_few_took_config_lately", "ended", "taken", "share", "wanted"
