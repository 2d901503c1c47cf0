"""How model families differ in what they ask for and how they restart.

Source: docs/phone-protocol/boot.md#request-order, docs/phone-protocol/restart.md#key-sequences
"""

from dataclasses import dataclass

from cisisk.model.phone import plain_model
from cisisk.simulator.services import capabilities
from cisisk.simulator.services.capabilities import Capabilities

_SETTINGS_MACRO = ("Settings", "KeyPadStar", "KeyPadStar", "KeyPadPound", "KeyPadStar", "KeyPadStar")
"""Settings and ``**#**``: restarts a 79xx."""
_APPLICATIONS_MACRO = ("Applications", "KeyPad4", "KeyPad4", "KeyPad1", "Soft3")
"""Administrator settings, Reset: restarts an 8961 or 99xx."""
_ITL = ("ITLSEP{mac}.tlv", "ITLFile.tlv")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneModel:
    """A model with the firmware it left the shelf with.

    Attributes:
        name: as people write it.
        product: as the phone writes it (``x-CiscoIPPhoneModelName``).
        load: the firmware it runs.
        trust_lists: the files asked for before the config. Of each group a phone asks for the next name only when
            the one before is absent; ``{mac}`` stands for twelve digits.
        http_first: asks TCP 6970 before TFTP; False is TFTP only.
        source_port: UDP port of every TFTP request.
        dictionary: the user locale's file.
        tones: the network locale's file.
        services: what its browser of XML services sends and takes.
        accepts_init_restart: ``Init:Restart`` restarts it; otherwise it is not executable (Status 6). Nothing
            published says which models do; the appliance has to live with both.
        restart_keys: the key presses that restart it, if any can be pushed.
        keys_need_settings_access: they do so only while ``settingsAccess`` is 1.
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
"""By the name people write."""


def find_model(name: str) -> PhoneModel:
    """The model called ``name``, in any of the forms ``7942``, ``CP-7942G``.

    Raises:
        KeyError: there is no such model to simulate.
    """
    return MODELS[plain_model(name)]
