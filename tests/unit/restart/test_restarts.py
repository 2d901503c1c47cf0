"""The order of restart methods, and the reported refusals."""

from dataclasses import dataclass, field

import pytest

from cisisk.model.catalogue import Family
from cisisk.model.errors import ConfigurationError
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.restart import Attempt, MethodRefusal, RestartOutcome, TriedMethod, Worth
from cisisk.model.target import InCall, NotRestarted, Target, Unreachable
from cisisk.restart.ami_command import AmiCommand
from cisisk.restart.ami_method import AmiMethod
from cisisk.restart.ami_pjsip import AmiPjsip
from cisisk.restart.ami_sccp import AmiSccp
from cisisk.restart.ami_sip import AmiSip
from cisisk.restart.cgi_keys import MACROS
from cisisk.restart.method import Restarts

BUSY, LOCKED = Notice("busy"), Notice("locked")


@dataclass
class Method:
    name: str
    error: NotRestarted | None = None
    way: str = "phone-http"
    worth: Worth = Worth.ANSWERED
    tried: list[Target] = field(default_factory=list)

    async def restart(self, target: Target) -> None:
        self.tried.append(target)
        if self.error:
            raise self.error


def target(software: Software = Software.SIP) -> Target:
    return Target(mac=Mac.parse("001122334455"), address="192.0.2.7", model="7942", software=software)


def restarts(*methods: Method) -> Restarts:
    return Restarts(methods, {software: [method.name for method in methods] for software in Software})


async def test_restart_stops_at_the_first_accepted_method() -> None:
    methods = Method("a", NotRestarted(BUSY)), Method("b"), Method("c")
    attempt = await restarts(*methods).restart(target())
    assert (attempt.outcome, attempt.method) == (RestartOutcome.ACCEPTED, "b")
    assert [len(method.tried) for method in methods] == [1, 1, 0]


async def test_refused_attempt_has_the_reason_of_each_method() -> None:
    attempt = await restarts(
        Method("a", NotRestarted(BUSY)),
        Method("b", NotRestarted(LOCKED)),
        Method("c", NotRestarted(BUSY)),
    ).restart(target())
    refusals = (MethodRefusal("a", BUSY), MethodRefusal("b", LOCKED), MethodRefusal("c", BUSY))
    assert attempt == Attempt(RestartOutcome.REFUSED, refusals=refusals)


async def test_unreachable_way_is_tried_once() -> None:
    methods = Method("a", Unreachable(BUSY)), Method("b"), Method("c", way="call manager")
    attempt = await restarts(*methods).restart(target())
    assert attempt.method == "c"
    assert [len(method.tried) for method in methods] == [1, 0, 1]


async def test_call_stops_the_other_methods() -> None:
    methods = Method("a", InCall(BUSY)), Method("b", way="call manager")
    attempt = await restarts(*methods).restart(target())
    assert attempt == Attempt(RestartOutcome.REFUSED, refusals=(MethodRefusal("a", BUSY),))
    assert methods[1].tried == []


async def test_methods_that_were_tried_are_left_out() -> None:
    methods = Method("a"), Method("b", NotRestarted(BUSY)), Method("c", worth=Worth.SENT)
    attempt = await restarts(*methods).restart(target(), ["a"])
    assert attempt.tried == (TriedMethod("b", Worth.REFUSED), TriedMethod("c", Worth.SENT))
    assert [len(method.tried) for method in methods] == [0, 1, 1]


async def test_methods_begin_anew_once_each_was_tried() -> None:
    methods = Method("a"), Method("b")
    order = restarts(*methods)
    assert order.untried(Software.SIP, ["a"]) == ("b",)
    assert order.untried(Software.SIP, ["a", "b"]) == ()
    assert (await order.restart(target(), ["a", "b"])).method == "a"


@pytest.mark.parametrize("method", [AmiPjsip, AmiSip, AmiCommand, AmiSccp])
def test_method_through_asterisk_shows_no_answer_of_the_phone(method: type[AmiMethod]) -> None:
    assert method.worth is Worth.SENT


async def test_order_depends_on_the_software() -> None:
    sip, sccp = Method("sip"), Method("sccp")
    order = Restarts([sip, sccp], {Software.SIP: ["sip"], Software.SIPE: [], Software.SCCP: ["sccp"]})
    assert (await order.restart(target(Software.SCCP))).method == "sccp"
    assert await order.restart(target(Software.SIPE)) == Attempt(RestartOutcome.NO_METHOD)


def test_unknown_method_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r'restart.sip: unknown method "telepathy"; known are a'):
        Restarts([Method("a")], {Software.SIP: ["telepathy"]})


def test_key_macros_are_for_families_of_the_catalogue() -> None:
    assert set(MACROS) <= {str(family) for family in Family}
