"""Logs, audit rows, refusals and deployments contain no secrets."""

import http.client
import json
import signal
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from cisisk.model.codes.restart import RestartRefusal
from tests.e2e.running_site import config, free_port
from tests.e2e.test_serve import serving
from tests.notices import codes_in
from tests.patience import PATIENCE

ADMIN, PIN, PHONE_HTTP, SIP, BROKEN, RAW = (f"s3ntinel{name}" for name in ("Admin", "1", "Phone", "Sip", "Xml", "Raw"))
DIGITS = "314159265"
PHONE = "127.0.0.9"


class ApiClient:
    """A client of the API that collects the texts of refusals."""

    def __init__(self, port: int) -> None:
        self._client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.token = ""
        self.refusals = ""

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        self._client.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        answer = self._client.getresponse()
        text = answer.read().decode()
        if answer.status >= 400:
            self.refusals += text
        return answer.status, json.loads(text)

    def data(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.request(method, path, body)
        assert status in (200, 201), answer
        return answer["data"]

    def close(self) -> None:
        self._client.close()


def echoing_phone(listener: socket.socket) -> None:
    """Refuse each request and repeat it in the response."""
    while True:
        try:
            call, _ = listener.accept()
        except OSError:
            return
        with call:
            sent = call.recv(65536)
            call.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<no>" + sent.replace(b"\r\n", b" "))


def raw(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        client.recv(65536)


def test_logs_audit_and_refusals_contain_no_secret(tmp_path: Path) -> None:
    port, phone_port = free_port(), free_port()
    settings = {
        "CISISK_LOG__LEVEL": "debug",
        "CISISK_SERVER__PORT": str(port),
        "CISISK_ADMIN_PASSWORD": ADMIN,
        "CISISK_PHONE_HTTP__PORT": str(phone_port),
        "CISISK_PHONE_HTTP__USERNAME": "cisco",
        "CISISK_PHONE_HTTP__PASSWORD": PHONE_HTTP,
        "PYTHONASYNCIODEBUG": "1",
    }

    def use_api() -> tuple[list[str], str]:
        """Use the API; return the tokens, and the texts that must not contain secrets."""
        with closing(ApiClient(port)) as admin:
            login = admin.data("POST", "/auth/login", {"username": "admin", "password": ADMIN})
            admin.token, owner = login["accessToken"], login["user"]["uuid"]
            refreshed = admin.data("POST", "/auth/refresh", {"refresh_token": login["refreshToken"]})
            admin.request("POST", "/auth/login", {"username": "admin", "password": f"{ADMIN}!"})
            admin.data("PUT", f"/cisco-users/{owner}", {"pin_code": DIGITS})
            admin.request("PUT", f"/cisco-users/{owner}", {"pin_code": f"{PIN}#"})
            cnf_xml = config("201", authPassword=SIP, sshPassword=SIP, phonePassword=SIP)
            profile = admin.data("POST", "/phone-profiles", {"user_uuid": owner, "name": "desk", "cnf_xml": cnf_xml})
            for wrong in (f"<a>{BROKEN}&{BROKEN};</a>", f"<a b='{BROKEN}>", f"<a>{BROKEN}</{BROKEN}>", f"{BROKEN}<"):
                text = cnf_xml.replace("</device>", f"<authPassword>{wrong}</authPassword></device>")
                changed = {"cnf_xml": text}
                assert admin.request("PUT", f"/phone-profiles/{profile['uuid']}", changed)[0] == 422
            line = {"type": "chan_pjsip", "extension": "201", "name": "desk", "voicemail": True}
            admin.data("POST", "/extensions", {**line, "password": SIP, "voicemail_passcode": SIP})
            for extension in ("201", ""):
                wrong_line = {**line, "extension": extension, "password": SIP, "voicemail_passcode": SIP}
                assert admin.request("POST", "/extensions", wrong_line)[0] in (409, 422)
            admin.data("POST", "/phones", {"mac": "001122334455", "phone_ip": PHONE})
            switched = admin.data(
                "POST", "/phone-profiles/switch", {"profile_uuid": profile["uuid"], "mac": "001122334455"}
            )
            assert RestartRefusal.NOT_A_PHONE in codes_in(switched["restart_detail"])
            raw(port, f"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {RAW}\0\r\n\r\n".encode())
            raw(port, f"GET /cisco/authentication?UserID=a&Password={RAW}\1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            raw(port, f"GET /cisco/authentication?UserID=a&Password={RAW} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            cut_off = f'{{"password": "{RAW}'
            raw(port, f"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{cut_off}".encode())
            audit = json.dumps(admin.data("GET", "/audit-logs"))
            tokens = [
                login["accessToken"],
                login["refreshToken"],
                *(refreshed[name] for name in ("accessToken", "refreshToken")),
            ]
            return tokens, admin.refusals + audit + json.dumps(switched)

    with closing(socket.create_server((PHONE, phone_port))) as listener:
        threading.Thread(target=echoing_phone, args=(listener,), daemon=True).start()
        with serving(tmp_path, **settings) as (process, _):
            tokens, texts = use_api()
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE)
    assert "DEBUG" in err
    with closing(sqlite3.connect(tmp_path / "data" / "cisisk.db")) as store:
        texts += json.dumps(
            store.execute("SELECT failure, restart_outcome, restart_detail FROM deployments").fetchall()
        )
    for secret in (ADMIN, PIN, DIGITS, PHONE_HTTP, SIP, BROKEN, RAW, *tokens):
        assert secret not in out + err
        assert secret not in texts
