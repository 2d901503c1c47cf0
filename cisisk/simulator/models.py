"""The simulated phone models: their boot requests and restart methods.

Source: docs/phone-protocol/boot.md#request-order, docs/phone-protocol/restart.md#key-sequences
"""

from dataclasses import dataclass

from cisisk.model.phone import plain_model
from cisisk.simulator.services import capabilities
from cisisk.simulator.services.capabilities import Capabilities

_SETTINGS_MACRO = ("Settings", "KeyPadStar", "KeyPadStar", "KeyPadPound", "KeyPadStar", "KeyPadStar")
"""Settings, then ``**#**``: restarts a 79xx."""
_APPLICATIONS_MACRO = ("Applications", "KeyPad4", "KeyPad4", "KeyPad1", "Soft3")
"""Administrator settings, then Reset: restarts an 8961 or 99xx."""
_ITL = ("ITLSEP{mac}.tlv", "ITLFile.tlv")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneModel:
    """A phone model and its initial firmware.

    Attributes:
        name: common name, such as ``7942``.
        product: name sent by the phone (``x-CiscoIPPhoneModelName``).
        load: initial firmware.
        trust_lists: groups of files requested before the config. A phone requests the next name of a group only if
            the previous one is absent; ``{mac}`` stands for the twelve digits.
        http_first: try TCP 6970 before TFTP; otherwise TFTP only.
        source_port: UDP port of every TFTP request.
        dictionary: file of the user locale.
        tones: file of the network locale.
        services: capabilities of its XML service browser.
        accepts_init_restart: ``Init:Restart`` restarts the phone; otherwise it is not executable (status 6). The
            models that support it are not published, so the simulator covers both.
        restart_keys: key presses that restart the phone; empty if there are none.
        keys_need_settings_access: the keys work only if ``settingsAccess`` is 1.
    """

    name: str
    product: str
    load: str
    trust_lists: tuple[tuple[str, ...], ...]
    http_first: bool
    source_port: int
    dictionary: str
    tones: str
    services: Capabilities
    accepts_init_restart: bool
    restart_keys: tuple[str, ...] = ()
    keys_need_settings_access: bool = False


_MODELS = (
    PhoneModel(
        name="6941",
        product="CP-6941",
        load="SIP69xx.9-4-1-3",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="rtl-sip.jar",
        tones="g3-tones.xml",
        services=capabilities.P69XX,
        accepts_init_restart=False,
    ),
    PhoneModel(
        name="7841",
        product="CP-7841",
        load="sip78xx.12-8-1-0001-455",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="sp-sip.jar",
        tones="g3-tones.xml",
        services=capabilities.P78XX,
        accepts_init_restart=False,
    ),
    PhoneModel(
        name="7940",
        product="CP-7940G",
        load="P00308010200",
        trust_lists=(("CTLSEP{mac}.tlv",),),
        http_first=False,
        source_port=49152,
        dictionary="7960-dictionary.xml",
        tones="7960-tones.xml",
        services=capabilities.FIRST_79XX,
        accepts_init_restart=True,
    ),
    PhoneModel(
        name="7960",
        product="CP-7960G",
        load="P00308010200",
        trust_lists=(("CTLSEP{mac}.tlv",),),
        http_first=False,
        source_port=49152,
        dictionary="7960-dictionary.xml",
        tones="7960-tones.xml",
        services=capabilities.FIRST_79XX,
        accepts_init_restart=True,
    ),
    PhoneModel(
        name="7942",
        product="CP-7942G",
        load="SCCP42.9-4-2SR3-1S",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=False,
        source_port=49152,
        dictionary="mk-sccp.jar",
        tones="g3-tones.xml",
        services=capabilities.GREY_79XX,
        accepts_init_restart=True,
        restart_keys=_SETTINGS_MACRO,
        keys_need_settings_access=True,
    ),
    PhoneModel(
        name="7962",
        product="CP-7962G",
        load="SIP42.9-4-2SR3-1S",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="mk-sip.jar",
        tones="g3-tones.xml",
        services=capabilities.GREY_79XX,
        accepts_init_restart=False,
        restart_keys=_SETTINGS_MACRO,
        keys_need_settings_access=True,
    ),
    PhoneModel(
        name="7965",
        product="CP-7965G",
        load="SIP45.9-4-2SR3-1S",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="mk-sip.jar",
        tones="g3-tones.xml",
        services=capabilities.COLOUR_79XX,
        accepts_init_restart=False,
        restart_keys=_SETTINGS_MACRO,
        keys_need_settings_access=True,
    ),
    PhoneModel(
        name="7970",
        product="CP-7970G",
        load="SCCP70.8-3-3S",
        trust_lists=(("CTLSEP{mac}.tlv", "CTLFile.tlv"),),
        http_first=False,
        source_port=1024,
        dictionary="td-sccp.jar",
        tones="g3-tones.xml",
        services=capabilities.COLOUR_79XX_OF_2007,
        accepts_init_restart=True,
        restart_keys=_SETTINGS_MACRO,
        keys_need_settings_access=True,
    ),
    PhoneModel(
        name="8845",
        product="CP-8845",
        load="sip8845_65.12-8-1-0001-455",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="sl-bev-sip.jar",
        tones="g3-tones.xml",
        services=capabilities.P88XX,
        accepts_init_restart=False,
    ),
    PhoneModel(
        name="8851",
        product="CP-8851",
        load="sip88xx.12-8-1-0001-455",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="sl-be-sip.jar",
        tones="g3-tones.xml",
        services=capabilities.P88XX,
        accepts_init_restart=False,
    ),
    PhoneModel(
        name="9971",
        product="CP-9971",
        load="sip9971.9-4-2SR4-1",
        trust_lists=(("CTLSEP{mac}.tlv",), _ITL),
        http_first=True,
        source_port=49152,
        dictionary="gd-sip.jar",
        tones="g4-tones.xml",
        services=capabilities.P99XX,
        accepts_init_restart=False,
        restart_keys=_APPLICATIONS_MACRO,
    ),
)

MODELS = {model.name: model for model in _MODELS}
"""The models by their common name."""


def find_model(name: str) -> PhoneModel:
    """Return the model called ``name``, written as ``7942`` or ``CP-7942G``.

    Raises:
        KeyError: the simulator does not have this model.
    """
    return MODELS[plain_model(name)]
