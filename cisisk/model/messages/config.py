"""Sentences of :mod:`cisisk.model.codes.config`."""

from cisisk.model.codes.config import FindingCode
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    FindingCode.AUTH_PASSWORD_TOO_LONG: N_(
        "An authPassword is longer than {longest} characters, the most that a phone accepts. Shorten it here and on the"
        " PBX."
    ),
    FindingCode.BLANK_AUTHENTICATION_URL: N_(
        "authenticationURL is blank: the phone executes commands from any sender. Set it to the authentication URL of"
        " this server."
    ),
    FindingCode.BYTE_ORDER_MARK: N_(
        "The file begins with a byte order mark, which some phones cannot read. Save it as UTF-8 without one."
    ),
    FindingCode.CALL_MANAGER_TOO_LONG: N_(
        "A processNodeName is longer than {longest} characters, the most that a phone accepts. Use a shorter name, or"
        " the IP address."
    ),
    FindingCode.DUPLICATE_BUTTON: N_("Two lines have the same button. Give each line its own key."),
    FindingCode.DUPLICATE_LINE_INDEX: N_("Two lines have the same lineIndex. Number them in order, from 1 on."),
    FindingCode.DUPLICATE_LINE_NAME: N_(
        "Two lines register as the same SIP user, and compete for one registration. Give each line its own <name>."
    ),
    FindingCode.DUPLICATE_SETTING: N_("A value is set twice, and the phone uses the last one. Remove one of them."),
    FindingCode.EMERGENCY_UNKNOWN: N_(
        "The placeholder {placeholder} is empty: neither the phone nor its site has a value for it. Emergency calls"
        " from the phone carry no location or no callback number. Set the value for the phone, or for a site that has"
        " the name of the phone's location."
    ),
    FindingCode.ENCRYPTED_CONFIG: N_(
        "encrConfig makes the phone expect files that are encrypted to its own certificate. Set it to false."
    ),
    FindingCode.FLAT_ON_OTHER_MODEL: N_(
        "A {model} does not read SIP<MAC>.cnf. Remove the model from the profile, or store a SEP<MAC>.cnf.xml."
    ),
    FindingCode.LARGE_CONFIG: N_(
        "The file has {size} bytes. Configs usually have 6 to 25 KB; small phones may reject a larger one."
    ),
    FindingCode.LEADING_WHITESPACE: N_(
        "There is white space before the first <, which some phones cannot read. Delete it."
    ),
    FindingCode.LINE_NOT_CALL_MANAGER: N_(
        "A line registers with a plain proxy, so the phone accepts no service-control restart over SIP. Write"
        " <proxy>USECALLMANAGER</proxy>, or use another restart method."
    ),
    FindingCode.LINE_WITHOUT_NAME: N_("A line without a name cannot register. Give it the SIP user as <name>."),
    FindingCode.LINE_WITHOUT_PROXY: N_("A line does not say where to register. Add <proxy>USECALLMANAGER</proxy>."),
    FindingCode.LOAD_INCOMPLETE: N_(
        "The firmware {load} has {files} files. {absent} of them are not on this server, for example {examples}. A"
        " phone cannot load this firmware. Upload the absent files."
    ),
    FindingCode.LOAD_NOT_SERVED: N_(
        "The firmware {load} is not on this server. A phone with other firmware keeps that, and asks for this one at"
        " each start. Upload it, or leave loadInformation empty."
    ),
    FindingCode.LOAD_OTHER_MODEL: N_(
        "The firmware {load} is not for a {model}. The phone rejects it and asks for it at each start. Name firmware of"
        " this model, or leave loadInformation empty."
    ),
    FindingCode.LOAD_PROTOCOL_MISMATCH: N_(
        "loadInformation names {load_protocol} firmware, and the config is for {protocol}. Correct one of them."
    ),
    FindingCode.LOAD_WITH_SUFFIX: N_(
        "loadInformation names a file. Write the load without its suffix, such as SIP45.9-4-2SR3-1S: the phone appends"
        " .loads itself."
    ),
    FindingCode.MISSING_AUTHENTICATION_URL: N_(
        "There is no authenticationURL: the phone cannot check whether a command is allowed. Set it to the"
        " authentication URL of this server."
    ),
    FindingCode.MISSING_FULL_CONFIG: N_(
        "The phone may read the file as a change to its previous config. Add <fullConfig>true</fullConfig> as the first"
        " element."
    ),
    FindingCode.MULTIPLATFORM_LOAD: N_(
        "{load} is multiplatform (MPP) firmware. A phone with it requests other files and knows no call manager, so it"
        " cannot be switched any more. Name enterprise firmware, or leave loadInformation empty."
    ),
    FindingCode.NO_CALL_MANAGER: N_(
        "The file names no call manager, so the phone does not register. Write the address of your PBX as"
        " <processNodeName> in devicePool/callManagerGroup/members/member/callManager."
    ),
    FindingCode.NO_FLAT_LINE: N_("There is no line, so the phone does not register. Set line1_name to the SIP user."),
    FindingCode.NO_LINE: N_(
        "There is no line, so the phone does not register. Add a <line> with <featureID>9</featureID> to"
        " sipProfile/sipLines."
    ),
    FindingCode.PHONE_LABEL_TOO_LONG: N_("A 79xx shows only {longest} characters of phoneLabel. Shorten it."),
    FindingCode.PHONE_PASSWORD_PRESENT: N_(
        "Everyone who fetches the file can read {element}. Leave it blank, or use a value that opens nothing else."
    ),
    FindingCode.PHONE_TAKES_SIGNED_FILES: N_(
        "This phone takes signed files: a signed form of its config was in the served directory. A switch sets that"
        " form aside as a version, because the phone would take it instead of the new config. Cisisk cannot sign files:"
        " if the phone does not take the plain config, erase its trust lists."
    ),
    FindingCode.PLACEHOLDER_NOT_FILLED: N_(
        "The file holds one of {known}, and the profile does not fill in placeholders. Turn on placeholders for this"
        " profile."
    ),
    FindingCode.PROTOCOL_SOFTWARE_MISMATCH: N_(
        "The file is for {protocol}, and the profile is for {software} software. Correct one of them: a phone with the"
        " other firmware would have to load new firmware first."
    ),
    FindingCode.PROTOCOL_UNKNOWN: N_(
        "The file does not reveal whether it is for SIP or SCCP. Add <deviceProtocol>SIP</deviceProtocol> or"
        " <deviceProtocol>SCCP</deviceProtocol>."
    ),
    FindingCode.READS_FLAT_CONFIG: N_(
        "A 7940 or 7960 with SIP firmware takes its lines from SIPDefault.cnf and SIP<MAC>.cnf, not from this file."
        " A switch to this profile would not change who the phone is, and is refused. Store the phone's SIP<MAC>.cnf as"
        " a profile of content type cnf."
    ),
    FindingCode.SCCP_ON_SIP_ONLY_MODEL: N_(
        "There is no SCCP firmware for the {model}. Use a SIP config, or remove the model from the profile."
    ),
    FindingCode.SECURITY_MODE_NEEDS_TRUST_LIST: N_(
        "deviceSecurityMode 2 and 3 need signed trust lists (CTL or ITL) on the phone. Set it to 1 unless your PBX"
        " creates them."
    ),
    FindingCode.SIP_ON_SCCP_ONLY_MODEL: N_(
        "There is no SIP firmware for the {model}. Use an SCCP config, or remove the model from the profile."
    ),
    FindingCode.SSH_PASSWORD_PRESENT: N_(
        "Everyone who fetches the file can read {element}. Leave it blank, or use a value that opens nothing else."
    ),
    FindingCode.TOO_MANY_LINES: N_(
        "The file has {lines} lines, and a {model} has {keys} keys for them. Remove lines, or configure a key expansion"
        " module."
    ),
    FindingCode.UNDECLARED_PREFIX: N_(
        "A name has a prefix that is not declared, as in call-manager exports. Phones accept that; other programs may"
        " not. Remove the attribute, or declare its prefix with xmlns."
    ),
    FindingCode.UNKNOWN_MODEL: N_(
        "The model {model} is not in the catalogue. Check its spelling; the file is not checked against this model."
    ),
    FindingCode.UNKNOWN_PLACEHOLDER: N_(
        "This text looks like a placeholder and is none; the phone receives it unchanged. The placeholders are {known}."
    ),
    FindingCode.URL_TOO_LONG: N_(
        "{element} is longer than {longest} characters, the most that a phone accepts. Shorten it."
    ),
    FindingCode.VALUE_UNKNOWN: N_(
        "{element} has a value that phones do not know, and they use their default instead. Use one of {known}."
    ),
    FindingCode.WEB_ACCESS_DISABLED: N_(
        "webAccess keeps the phone from accepting commands over HTTP (CGI/Execute), so it cannot be restarted that way."
        " Set it to 0, or use another restart method."
    ),
}
