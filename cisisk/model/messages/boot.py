"""Sentences of :mod:`cisisk.model.codes.boot`."""

from cisisk.model.codes.boot import AskedCode, BootFindingCode, RemedyCode, RequestCode
from cisisk.model.messages.marker import N_

_ASKED: dict[str, str] = {
    AskedCode.TRUST_LIST: N_("It asked for its list of trusted servers."),
    AskedCode.CONFIG: N_("It asked for its config."),
    AskedCode.SIGNED_CONFIG: N_("It asked for its config in signed form."),
    AskedCode.SHARED_CONFIG: N_("It asked for the config that all phones of its kind share."),
    AskedCode.DEFAULT_CONFIG: N_("It asked for the config for unknown phones."),
    AskedCode.WIRELESS: N_("It asked for its wireless settings."),
    AskedCode.IMAGE_NAME: N_("It asked for the name of the firmware to run."),
    AskedCode.RECOVERY: N_("It asked for its recovery firmware."),
    AskedCode.FIRMWARE: N_("It asked for the firmware that its config names."),
    AskedCode.FIRMWARE_PART: N_("It asked for a part of its firmware."),
    AskedCode.DICTIONARY: N_("It asked for the texts of its language."),
    AskedCode.TONES: N_("It asked for the tones of its country."),
    AskedCode.RINGTONE: N_("It asked for ring tones."),
    AskedCode.DIAL_PLAN: N_("It asked for its dial plan."),
    AskedCode.SOFT_KEYS: N_("It asked for its soft keys."),
    AskedCode.FEATURES: N_("It asked for its feature policy."),
    AskedCode.DIAL_RULES: N_("It asked for dial rules."),
    AskedCode.BACKGROUND: N_("It asked for backgrounds."),
    AskedCode.HEADSET: N_("It asked for headset settings."),
    AskedCode.SYNCHRONISATION: N_("It asked whether it has to restart, as check-sync makes it do."),
    AskedCode.UNKNOWN: N_("It asked for a file that Cisisk does not know."),
}
_RESULTS: dict[str, str] = {
    RequestCode.TAKEN: N_("It took all of it: {size} bytes in {duration:.1f} s."),
    RequestCode.TIMED_OUT: N_("It stopped answering after {acknowledged} of {size} bytes."),
    RequestCode.TIMED_OUT_THEN_TAKEN: N_(
        "It stopped answering after {acknowledged} of {size} bytes. It took the file at another attempt."
    ),
    RequestCode.CUT: N_("Cisisk broke off the transfer after {acknowledged} of {size} bytes."),
    RequestCode.CUT_THEN_TAKEN: N_(
        "Cisisk broke off the transfer after {acknowledged} of {size} bytes. It took the file at another attempt."
    ),
    RequestCode.ABORTED: N_("It broke off the transfer after {acknowledged} of {size} bytes."),
    RequestCode.ABORTED_THEN_TAKEN: N_(
        "It broke off the transfer after {acknowledged} of {size} bytes. It took the file at another attempt."
    ),
    RequestCode.REFUSED: N_("Cisisk rejected the request as malformed."),
    RequestCode.REFUSED_THEN_TAKEN: N_(
        "Cisisk rejected the request as malformed. It took the file at another attempt."
    ),
    RequestCode.ABSENT_FIRST: N_("The file was absent at that moment. It took the file at another attempt."),
    RequestCode.NO_TRUST_LIST: N_("There is none. The phone needs none unless its config demands security."),
    RequestCode.CONFIG_ABSENT: N_("The file is absent."),
    RequestCode.SIGNED_CONFIG_ABSENT: N_("The file is absent: Cisisk does not sign files."),
    RequestCode.NO_SHARED_CONFIG: N_("The file is absent. The phone's own config is enough."),
    RequestCode.NO_DEFAULT_CONFIG: N_("The file is absent. The phone has a config of its own."),
    RequestCode.DEFAULT_CONFIG_ABSENT: N_("That file is absent."),
    RequestCode.NO_WIRELESS_SETTINGS: N_("The file is absent. The phone keeps its settings."),
    RequestCode.NO_IMAGE_NAME: N_("The file is absent. The phone keeps its present firmware."),
    RequestCode.RECOVERY_ABSENT: N_("The recovery firmware is absent."),
    RequestCode.FIRMWARE_ABSENT: N_("The firmware is absent. The phone keeps its present firmware."),
    RequestCode.FIRMWARE_PART_ABSENT: N_("This part of the firmware is absent."),
    RequestCode.NO_DICTIONARY: N_("The file is absent. The phone shows English texts."),
    RequestCode.NO_TONES: N_("The file is absent. The phone uses its built-in tones."),
    RequestCode.NO_RING_TONES: N_("The file is absent. The phone uses its built-in ring tones."),
    RequestCode.NO_DIAL_PLAN: N_("The file is absent. The phone dials after a pause in the digits."),
    RequestCode.NO_SOFT_KEYS: N_("The file is absent. The phone shows its usual soft keys."),
    RequestCode.NO_FEATURE_POLICY: N_("The file is absent. The phone has its usual features."),
    RequestCode.NO_DIAL_RULES: N_("The file is absent. The phone works without dial rules."),
    RequestCode.NO_BACKGROUNDS: N_("The file is absent. The phone uses its own backgrounds."),
    RequestCode.NO_HEADSET_SETTINGS: N_("The file is absent. The phone works without headset settings."),
    RequestCode.NO_SYNCHRONISATION: N_("The file is absent. The phone does not restart."),
    RequestCode.NO_SUCH_FILE: N_("The file is absent. Most phones work without it."),
}
_FINDINGS: dict[str, str] = {
    BootFindingCode.CONFIGURED: N_("It took its config over {protocol}: {size} bytes."),
    BootFindingCode.RUNNING: N_("The running phone asked for {requests} file(s)."),
    BootFindingCode.RECOVERING: N_("It had no usable firmware, and fetched its recovery firmware."),
    BootFindingCode.RECOVERY_WITHOUT_IMAGE: N_("It has no usable firmware. It asks for {name}, which is absent."),
    BootFindingCode.SIGNED_CONFIGURED: N_(
        "It took a signed config over {protocol}: {size} bytes. Another program has made it; Cisisk signs no files."
    ),
    BootFindingCode.FOREIGN_TRUST_LIST: N_(
        "It demands a signed config: it has the trust list of another call manager and accepts no other config."
    ),
    BootFindingCode.SIGNED_CONFIG_FIRST: N_(
        "It asked for a signed config first, as a phone with a trust list does, and then took the plain one. Erase its"
        " trust list if it does not apply the config."
    ),
    BootFindingCode.KEEPS_STARTING: N_("It takes its config and restarts, again and again."),
    BootFindingCode.CONFIG_MISSING: N_(
        "There is no {name}, and no default config. The phone keeps its previous settings."
    ),
    BootFindingCode.DEFAULT_CONFIG: N_("There is no {name}. It took the default config."),
    BootFindingCode.CONFIG_NOT_TAKEN: N_(
        "It asked for its config and did not get all of it: {acknowledged} of {size} bytes."
    ),
    BootFindingCode.ONLY_DEFAULT_CONFIG: N_("It asked for the default config, and not for its own."),
    BootFindingCode.STOPPED_AT_TRUST_LIST: N_("It asked for its trust list, and for nothing afterwards."),
    BootFindingCode.NO_CONTACT_SINCE: N_(
        "A new config has been waiting for it since {awaited_since}. It has asked for no file since then."
    ),
    BootFindingCode.FIRMWARE_MISSING: N_("Its config names firmware that is absent: {names}"),
    BootFindingCode.FIRMWARE_INCOMPLETE: N_("Parts of its firmware are absent: {names}"),
    BootFindingCode.TRANSFERS_TIMED_OUT: N_("It stopped answering during these transfers: {names}"),
    BootFindingCode.TRANSFERS_CUT: N_("Cisisk broke off these transfers: {names}"),
    BootFindingCode.TRANSFERS_ABORTED: N_("It broke off these transfers: {names}"),
    BootFindingCode.REQUESTS_REFUSED: N_("Cisisk rejected its malformed requests for: {names}"),
}
_REMEDIES: dict[str, str] = {
    RemedyCode.SWITCH: N_("Switch the phone to a profile. It takes the profile at its next boot."),
    RemedyCode.SWITCH_FROM_DEFAULT: N_("Switch the phone to a profile if it needs a config of its own."),
    RemedyCode.CHECK_NETWORK: N_(
        "Look for a firewall that drops the answers (TFTP answers from another port, see tftp.port_range), a bad cable,"
        " or two devices with the same address."
    ),
    RemedyCode.CHECK_SERVERS: N_(
        "It may have asked another server for its own config. Let option 150 name this server only, remove an alternate"
        " TFTP server from the phone's network settings, then restart the phone."
    ),
    RemedyCode.CHECK_ANSWERS: N_(
        "The answer did not reach it, or its firmware stops at the answer. Look for a firewall on the way, and wait"
        " whether it starts again by itself."
    ),
    RemedyCode.CHECK_REGISTRATION: N_(
        "Usually the call manager rejects its registration or cannot be reached. Check processNodeName, the line name,"
        " and the password in its config, and read the log of the call manager."
    ),
    RemedyCode.ADD_RECOVERY_IMAGE: N_(
        "Put {name} and the files that it names into the served directory; they are in a firmware package for this"
        " model. Keep the phone powered meanwhile."
    ),
    RemedyCode.RESTART_BY_HAND: N_(
        "Restart it by hand. If it still asks for nothing, it is off, is unplugged, or asks another server: check DHCP"
        " option 150 and its network settings."
    ),
    RemedyCode.ADD_FIRMWARE: N_("Put that firmware into the served directory, or name another one in the profile."),
    RemedyCode.COMPLETE_FIRMWARE: N_("Put the whole firmware package into the served directory."),
    RemedyCode.CHECK_TRANSFERS: N_("Look for a bad cable, a busy network, or a firewall that ends transfers."),
    RemedyCode.CHECK_LOG: N_("Cisisk was stopped, its disk failed, or it may not read the file. Read its log."),
    RemedyCode.CHECK_STATUS_MESSAGES: N_(
        "It may have no room for the file, or need another form of it. Read the phone's status messages."
    ),
    RemedyCode.CHECK_CLIENT: N_("Phones do not send such requests. Find out which device has this address."),
    RemedyCode.BLANK_TRUST_LIST: N_(
        "If the old call manager still runs: set its parameter Prepare Cluster for Rollback to Pre 8.0, let the phone"
        " restart there and take the blank list, then set it back. This does not help a phone with a CTL."
    ),
    RemedyCode.TRUST_NEW_SIGNER: N_(
        "If the old call manager still runs and another program signs your files: upload the certificate of the signer"
        " there as Phone-SAST-trust and CallManager-trust, restart its Trust Verification Service, then let DHCP option"
        " 150 name this server."
    ),
    RemedyCode.RESET_TO_FACTORY: N_("If nothing else helps: reset the phone to its factory settings."),
    RemedyCode.ERASE_TRUST_LIST: N_(
        "Erase the trust lists (ITL and CTL) in the phone's security settings. On most models: Applications or"
        " Settings, Administrator Settings, Reset Settings, Security Settings; on a 79xx: Settings, Security"
        " Configuration, Trust List."
    ),
    RemedyCode.ERASE_TRUST_LIST_7940: N_(
        "On the phone: Settings, Security Configuration, CTL File; unlock with **#, press Erase."
    ),
    RemedyCode.ERASE_TRUST_LIST_79XX: N_(
        "On the phone: Settings, Security Configuration, Trust List, ITL File (and CTL File, if it has one); unlock"
        " with **#, press Erase."
    ),
    RemedyCode.ERASE_TRUST_LIST_ADMIN_SETTINGS: N_(
        "On the phone: Applications, Admin Settings, then Reset Settings, then Security Settings. That erases the trust"
        " lists. The menu entries differ between firmware versions."
    ),
    RemedyCode.ERASE_TRUST_LIST_ADMINISTRATOR_SETTINGS: N_(
        "On the phone: Applications, Administrator Settings, then Reset Settings, then Security Settings. That erases"
        " the trust lists. The menu entries differ between firmware versions."
    ),
}
TEMPLATES: dict[str, str] = {**_ASKED, **_RESULTS, **_FINDINGS, **_REMEDIES}
