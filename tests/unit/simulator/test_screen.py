import pytest

from cisisk.simulator.cgi import Status
from cisisk.simulator.models import MODELS, find_model
from cisisk.simulator.screen import Keypad, Screen

SETTINGS = ["Settings", "KeyPadStar", "KeyPadStar", "KeyPadPound", "KeyPadStar", "KeyPadStar"]


def press(keypad: Keypad, keys: list[str]) -> list[bool]:
    return [keypad.press(key) for key in keys]


def run(
    screen: Screen, *urls: str, init_restarts: bool = True, keys_restart: bool = True
) -> tuple[list[int], str | None]:
    execution = screen.execute(urls, init_restarts=init_restarts, keys_restart=keys_restart)
    return [status for _, status in execution.results], execution.restart


def test_keypad_last_key_completes_sequence() -> None:
    assert press(Keypad(SETTINGS), SETTINGS) == [False] * 5 + [True]


def test_keypad_wrong_key_fails_until_menu_is_closed() -> None:
    keypad = Keypad(SETTINGS)
    assert not any(press(keypad, [*SETTINGS[:3], "KeyPad1", *SETTINGS[3:]]))
    keypad.close_menu()
    assert press(keypad, SETTINGS)[-1]


def test_keypad_sequence_with_open_menu_fails() -> None:
    keypad = Keypad(SETTINGS)
    keypad.press("Settings")
    assert not any(press(keypad, SETTINGS))
    assert press(keypad, SETTINGS)[-1]


def test_keypad_keys_before_menu_are_ignored() -> None:
    assert press(Keypad(SETTINGS), ["KeyPadStar", "KeyPadStar", *SETTINGS])[-1]


def test_keypad_without_sequence_never_completes() -> None:
    assert not any(press(Keypad(()), SETTINGS))


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.restart_keys])
def test_screen_restart_keys_in_separate_requests_restart(name: str) -> None:
    screen = Screen(MODELS[name])
    answers = [run(screen, f"Key:{key}") for key in MODELS[name].restart_keys]
    assert [status for status, _ in answers] == [[0]] * len(answers)
    assert [restart for _, restart in answers] == [None] * (len(answers) - 1) + ["key presses"]


def test_screen_presses_only_first_key_of_request() -> None:
    screen = Screen(MODELS["9971"])
    assert run(screen, "Key:Applications", "Key:KeyPad4", "Key:KeyPad4") == ([0, 0, 0], None)
    assert run(screen, "Key:KeyPad1") == ([0], None)
    assert run(screen, "Key:Soft3") == ([0], None)


def test_screen_disabled_restart_keys_fail_silently() -> None:
    screen = Screen(MODELS["7942"])
    assert [run(screen, f"Key:{key}", keys_restart=False) for key in SETTINGS] == [([0], None)] * 6


@pytest.mark.parametrize("closing", ["Init:Services", "Init:Directories", "Init:Messages"])
def test_screen_init_uri_closes_page(closing: str) -> None:
    page = "http://127.0.0.1/menu"
    screen = Screen(MODELS["7942"])
    outcomes = [
        screen.execute(urls, init_restarts=True, keys_restart=True)
        for urls in ([page], [closing], [page, closing], [closing, page])
    ]
    assert [(outcome.closes, outcome.opens) for outcome in outcomes] == [
        (False, page),
        (True, None),
        (True, None),
        (True, page),
    ]


@pytest.mark.parametrize("opener", ["Init:Settings", "Init:Services"])
def test_screen_init_uri_resets_key_sequence(opener: str) -> None:
    screen = Screen(MODELS["7942"])
    run(screen, "Key:Settings")
    run(screen, opener)
    assert [run(screen, f"Key:{key}")[1] for key in SETTINGS][-1] == "key presses"


def test_screen_init_restart_restarts_or_is_not_executable() -> None:
    screen = Screen(MODELS["7942"])
    assert run(screen, "Init:Restart") == ([Status.SUCCESS], "Init:Restart")
    assert run(screen, "Init:Restart", init_restarts=False) == ([Status.NOT_EXECUTABLE], None)


@pytest.mark.parametrize("url", ["Init:Coffee", "Key:Coffee", "Coffee", "Key:", "SoftKey:Exit", "Notify:http://a/"])
def test_screen_unknown_uri_is_not_executable(url: str) -> None:
    assert run(Screen(MODELS["7942"]), "Init:Services", url) == ([0, 6], None)


def test_find_model_accepts_product_name() -> None:
    assert find_model("CP-7942G") is find_model("7942") is MODELS["7942"]
    with pytest.raises(KeyError):
        find_model("7999")
