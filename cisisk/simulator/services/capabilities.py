"""Capabilities of the XML service browsers by model family.

Source: docs/phone-protocol/xml-services.md#objects, docs/phone-protocol/xml-services.md#requests
"""

from dataclasses import dataclass, replace

LATIN = "iso8859-1"
UTF_8 = "utf-8"
"""Character sets under Python's normalised names."""
_ALLEGRO = "Allegro-Software-WebClient/4.34"
_LATIN_FIRST = "iso-8859-1,utf-8;q=0.8"
_UTF_8_FIRST = "utf-8,iso-8859-1;q=0.8"
_SMALL_OBJECT = 8 * 1024
"""Bytes that the first 79xx certainly accept."""
_OBJECT = 40 * 1024
"""Cisco's limit in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The browser of one model family.

    Attributes:
        user_agent: ``User-Agent`` header.
        accept_charset: ``Accept-Charset`` header.
        charsets: supported character sets under Python's normalised names. The first 79xx announce more than they
            certainly display.
        sdk_version: ``x-CiscoIPPhoneSDKVersion`` header.
        display: ``x-CiscoIPPhoneDisplay`` header: width, height, depth, colour or grey.
        max_object: largest page in bytes.
        max_soft_keys: largest number of soft keys on a page, and their highest position.
        posts: supports ``<URL method="post">``.
        exit_first: the default soft keys begin with Exit; otherwise with the main action.
        shows_title: has room for a title beside a prompt.
        directory_is_menu: the Directories key accepts only a menu.
        names_itself: appends ``locale`` and ``name`` to the URLs of the Services and Directories keys.
        expires_after_1970: ignores an ``Expires`` up to the first day of 1970.
        foreign_schemes: URI schemes that other families support and this one does not.
    """

    user_agent: str
    accept_charset: str
    charsets: frozenset[str]
    sdk_version: str
    display: str
    max_object: int = _OBJECT
    max_soft_keys: int = 8
    posts: bool = False
    exit_first: bool = False
    shows_title: bool = True
    directory_is_menu: bool = False
    names_itself: bool = False
    expires_after_1970: bool = False
    foreign_schemes: frozenset[str] = frozenset()

    @property
    def is_latin_only(self) -> bool:
        """Return whether the family displays only ISO-8859-1."""
        return self.charsets == {LATIN}


_BOTH = frozenset({LATIN, UTF_8})

FIRST_79XX = Capabilities(
    user_agent=_ALLEGRO,
    accept_charset=_LATIN_FIRST,
    charsets=frozenset({LATIN}),
    sdk_version="4.1.3",
    display="133,65,2,G",
    max_object=_SMALL_OBJECT,
    directory_is_menu=True,
)
"""7940 and 7960."""
GREY_79XX = replace(
    FIRST_79XX,
    accept_charset=_UTF_8_FIRST,
    charsets=_BOTH,
    sdk_version="8.5.1",
    display="298,144,3,G",
    max_object=_OBJECT,
)
COLOUR_79XX = replace(GREY_79XX, display="298,156,16,C")
COLOUR_79XX_OF_2007 = replace(COLOUR_79XX, accept_charset=_LATIN_FIRST, sdk_version="6.0.2", display="298,168,12,C")
"""Firmware that prefers ISO-8859-1 and accepts UTF-8."""
P69XX = Capabilities(
    user_agent=_ALLEGRO,
    accept_charset=_UTF_8_FIRST,
    charsets=_BOTH,
    sdk_version="8.5.2",
    display="396,81,1,G",
    exit_first=True,
    shows_title=False,
)
P99XX = Capabilities(
    user_agent="Cisco-IP-Phone-WebClient/9.0",  # not published; servers must not depend on it
    accept_charset=_UTF_8_FIRST,
    charsets=_BOTH,
    sdk_version="9.0.1",
    display="498,289,24,C",
    max_soft_keys=16,
    exit_first=True,
)
P88XX = replace(
    P99XX, sdk_version="11.0.1", display="559,265,24,C", posts=True, names_itself=True, expires_after_1970=True
)
P78XX = replace(
    P88XX,
    display="396,162,1,G",
    expires_after_1970=False,
    foreign_schemes=frozenset({"Notify", "SendDigits", "Application", "Device", "Display"}),
)
