import subprocess
import sys

import pytest

from cisisk.cli import COMMANDS, main

SERVE_WITHOUT_SETTINGS = """
import sys

from cisisk.cli import main

status = main(["serve", "--config", "/does/not/exist"])
print(status, sorted(name for name in sys.modules if name.startswith(("cisisk.simulator", "cisisk.cli."))))
"""


def test_serve_imports_no_other_command() -> None:
    ended = subprocess.run([sys.executable, "-c", SERVE_WITHOUT_SETTINGS], capture_output=True, text=True, check=True)
    assert ended.stdout == "2 ['cisisk.cli.log', 'cisisk.cli.options', 'cisisk.cli.serve']\n"


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["serv"], 2)])
def test_main_without_command_lists_all_commands(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == status
    said = "".join(capsys.readouterr())
    assert all(command in said for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_help_shows_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"cisisk {command}" in capsys.readouterr().out
