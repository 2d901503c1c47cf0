"""Rules about a config and one model of phones."""

from collections.abc import Iterator

from cisisk.model.catalogue import Family, ModelFacts, Protocol
from cisisk.model.codes.config import FindingCode
from cisisk.model.loads import read_load
from cisisk.model.notice import Notice
from cisisk.model.sep_config.facts import LINE_PATH, SepConfig

MAX_LOAD_LENGTH = 64
"""Characters of a load's name that a finding repeats. Real names have fewer than 40."""


def notices_for_model(config: SepConfig, protocol: Protocol | None, facts: ModelFacts) -> Iterator[tuple[Notice, str]]:
    """Yield what is wrong with a config on a model, each with the path of the element.

    Args:
        protocol: of the config or its profile.
    """
    if config.is_flat:
        yield from _flat(config, facts)
        return
    if protocol is not None and protocol not in facts.protocols:
        code = FindingCode.SCCP_ON_SIP_ONLY_MODEL if protocol == "SCCP" else FindingCode.SIP_ON_SCCP_ONLY_MODEL
        yield code.notice(model=facts.name), "deviceProtocol"
    models = read_load(config.load or "").models
    if models and facts.name not in models:
        notice = FindingCode.LOAD_OTHER_MODEL.notice(load=(config.load or "")[:MAX_LOAD_LENGTH], model=facts.name)
        yield notice, "loadInformation"
    if protocol == "SIP" and facts.family is Family.P7940 and not config.is_read_for_firmware_only:
        yield FindingCode.READS_FLAT_CONFIG.notice(), "loadInformation"
    yield from _too_many_lines(config, facts)


def _flat(config: SepConfig, facts: ModelFacts) -> Iterator[tuple[Notice, str]]:
    if facts.family is not Family.P7940:
        yield FindingCode.FLAT_ON_OTHER_MODEL.notice(model=facts.name), ""
    else:
        yield from _too_many_lines(config, facts)


def _too_many_lines(config: SepConfig, facts: ModelFacts) -> Iterator[tuple[Notice, str]]:
    count = sum(line.is_line for line in config.lines)
    if facts.line_keys is None:
        return
    keys = facts.line_keys + facts.module_keys * min(facts.modules, config.modules)
    if count > keys:
        yield FindingCode.TOO_MANY_LINES.notice(lines=count, model=facts.name, keys=keys), LINE_PATH
