"""Read one config from disk or over TFTP until a line arrives on stdin; then count the contents that were read."""

import asyncio
import hashlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cisisk.simulator.tftp_client import TftpRetry, fetch
from cisisk.simulator.tftp_download import FileAbsent


def over_tftp(host: str, port: str, name: str) -> bytes:
    retry = TftpRetry(interval=1.0, retries=5)
    return asyncio.run(fetch(name, server=(host, int(port)), local=("127.0.0.1", 0), retry=retry))


def on_disk(path: str) -> bytes:
    return Path(path).read_bytes()


def main(read: Callable[..., bytes], *arguments: str) -> None:
    # Give switches priority: on a small machine a busy reader would starve the appliance.
    os.nice(10)
    stopped = threading.Event()

    def wait_for_a_line() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=wait_for_a_line, daemon=True).start()
    seen, absent = Counter[str](), 0
    print("reading", flush=True)
    while not stopped.is_set():
        try:
            seen[hashlib.sha256(read(*arguments)).hexdigest()] += 1
        except (FileAbsent, FileNotFoundError):
            absent += 1
    print(json.dumps({"contents": seen, "absent": absent}))


if __name__ == "__main__":
    main(on_disk if sys.argv[1] == "disk" else over_tftp, *sys.argv[2:])
