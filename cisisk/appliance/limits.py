"""The limits of all parts that have no setting."""

from dataclasses import dataclass, field
from datetime import timedelta

from cisisk.api.limits import ApiLimits
from cisisk.events.feed import FeedLimits
from cisisk.events.webhooks import WebhookLimits
from cisisk.fetches.log import FetchLogLimits
from cisisk.mobility.watcher import AFTER_FAILURE
from cisisk.pbx.connection import AsteriskLimits
from cisisk.pbx.registrar import IDENTIFY_SECONDS
from cisisk.pbx.setup_check import CHECK_SECONDS
from cisisk.provisioning.access.sources import SourceLimits
from cisisk.provisioning.access.watch import REFRESH_SECONDS as ACCESS_REFRESH_SECONDS
from cisisk.provisioning.uploads import UploadLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of an appliance. The defaults are for production; tests pass shorter times and smaller numbers.

    Attributes:
        directory_refresh_seconds: interval at which the served directory is checked for changes by other programs.
        access_refresh_seconds: interval at which the access policy reads the addresses of phones.
        identify_seconds: for finding the registration of one phone.
        setup_check_seconds: between two checks of what Asterisk allows.
        watch_retry: after the watch of a switch has failed.
    """

    directory_refresh_seconds: float = 5.0
    access_refresh_seconds: float = ACCESS_REFRESH_SECONDS
    identify_seconds: float = IDENTIFY_SECONDS
    setup_check_seconds: float = CHECK_SECONDS
    watch_retry: timedelta = AFTER_FAILURE
    api: ApiLimits = field(default_factory=ApiLimits)
    asterisk: AsteriskLimits = field(default_factory=AsteriskLimits)
    feed: FeedLimits = field(default_factory=FeedLimits)
    fetch_log: FetchLogLimits = field(default_factory=FetchLogLimits)
    webhooks: WebhookLimits = field(default_factory=WebhookLimits)
    sources: SourceLimits = field(default_factory=SourceLimits)
    uploads: UploadLimits = field(default_factory=UploadLimits)


DEFAULT_LIMITS = Limits()
