"""``cisisk simulate``: simulated phones that boot from a provisioning server."""

import argparse
import asyncio
import ipaddress
import signal
from urllib.parse import SplitResult

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.simulator.boot import BootOutcome
from cisisk.simulator.fleet import Fleet, build_phones
from cisisk.simulator.models import MODELS, find_model
from cisisk.simulator.phone import SimulatedPhone

_SIP_PORT = 5060
"""The default port of SIP (RFC 3261 section 19.1.2)."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser of the command to ``commands``."""
    parser = commands.add_parser("simulate", help="run simulated phones against a server", description=__doc__)
    parser.add_argument("model", choices=sorted(MODELS), help="model of all phones")
    parser.add_argument(
        "--server", default="127.0.0.1", metavar="ADDRESS", help="address of the server (default: %(default)s)"
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="number of phones (default: 1)")
    parser.add_argument(
        "--first-mac",
        default="00:11:22:00:00:01",
        metavar="MAC",
        help="MAC address of the first phone (default: %(default)s)",
    )
    parser.add_argument(
        "--network",
        default="127.0.2.0/24",
        help="network of the phones; its addresses must exist on this machine (default: %(default)s)",
    )
    parser.add_argument(
        "--tftp-port", type=int, default=69, metavar="PORT", help="TFTP port of the server (default: 69)"
    )
    parser.add_argument(
        "--http-port", type=int, default=6970, metavar="PORT", help="HTTP port of the server (default: 6970)"
    )
    parser.add_argument(
        "--web-port", type=int, default=80, metavar="PORT", help="web server port of the phones (default: 80)"
    )
    parser.add_argument(
        "--sip-port",
        type=int,
        default=_SIP_PORT,
        metavar="PORT",
        help="SIP port of the phones, UDP and TCP; they register from it (default: 5060)",
    )
    parser.add_argument(
        "--sip-proxy",
        metavar="ADDRESS[:PORT]",
        help="register here instead of at the call manager of the config; without it the phones register only at a "
        "call manager on the loopback network",
    )
    parser.add_argument(
        "--once", action="store_true", help="exit after the first boots, with status 1 if a phone got no config"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the phones until interrupted; with ``--once``, for one boot each."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    phones = build_phones(
        arguments.count,
        find_model(arguments.model),
        first_mac=Mac.parse(arguments.first_mac, field="--first-mac"),
        network=arguments.network,
        server=arguments.server,
        tftp_port=arguments.tftp_port,
        http_port=arguments.http_port,
        web_port=arguments.web_port,
        sip_port=arguments.sip_port,
        sip_proxy=None if arguments.sip_proxy is None else _address(arguments.sip_proxy),
        on_event=_print_event,
    )
    try:
        async with Fleet(phones):
            if not arguments.once:
                await _interrupted()
    except* OSError as errors:
        raise Invalid(
            f"The phones cannot start: {errors.exceptions[0]}. Choose another --network, --web-port or --sip-port"
        ) from errors
    if arguments.once and any(phone.boots[-1].outcome is not BootOutcome.CONFIGURED for phone in phones):
        return 1
    return 0


def _address(text: str) -> tuple[str, int]:
    """Return numeric address and port. Raises Invalid."""
    try:
        url = SplitResult("", text if text.count(":") < 2 or "[" in text else f"[{text}]", "", "", "")
        address, port = str(ipaddress.ip_address(url.hostname or "")), _SIP_PORT if url.port is None else url.port
    except ValueError:
        raise Invalid.field("--sip-proxy", f"{text!a} is not ADDRESS[:PORT] with a numeric address") from None
    return address, port


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _print_event(phone: SimulatedPhone, text: str) -> None:
    print(f"{phone.device_name} ({phone.model.product}, {phone.address}) {text}", flush=True)  # noqa: T201 -- output
