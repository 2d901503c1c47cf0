"""Third-party FTP clients upload, replace, fetch, list and delete files."""

import ftplib
import io
import os
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "correct horse"
TONE = os.urandom(70_000)
CONFIG = b'<?xml version="1.0" encoding="UTF-8"?>\r\n<device><fullConfig>true</fullConfig></device>\n'
NAME = "SEP001122334455.cnf.xml"


def run(*command: object, code: int = 0) -> str:
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def lftp(site: Any, script: str, *, tls: Path | None = None, code: int = 0) -> str:
    settings = "set net:max-retries 1; set net:timeout 5; set cmd:fail-exit yes; "
    settings += f"set ssl:ca-file {tls}; set ftp:ssl-force yes; " if tls else "set ftp:ssl-allow no; "
    return run(
        "lftp", "-p", site.port, "-u", f"admin,{PASSWORD}", "-e", f"{settings}{script}; bye", "127.0.0.1", code=code
    )


def test_python_client_uploads_lists_fetches_and_deletes(site: Any) -> None:
    with site.client() as client:
        client.mkd("ringers")
        client.cwd("ringers")
        assert client.storbinary("STOR a.raw", io.BytesIO(TONE)) == "226 ringers/a.raw is served from now on"
        assert site.served("ringers/a.raw") == TONE
        client.storbinary("STOR a.raw", io.BytesIO(TONE[::-1]))
        got = io.BytesIO()
        client.retrbinary("RETR a.raw", got.write)
        assert got.getvalue() == TONE[::-1]
        assert client.size("a.raw") == len(TONE)
        assert client.nlst() == ["a.raw"]
        assert [(name, facts["type"], facts["size"]) for name, facts in client.mlsd()] == [
            ("a.raw", "file", str(len(TONE)))
        ]
        client.delete("a.raw")
        assert client.nlst() == []
        client.cwd("/")
        client.rmd("ringers")
        assert client.nlst() == []
    assert [action for action, _ in site.records] == ["file.uploaded", "file.uploaded", "file.deleted"]
    assert not (site.root / "ringers").exists()


@pytest.mark.needs("lftp")
def test_lftp_mirrors_tree_in_both_directions(site: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for number in range(8):
        file = source / "Desktops" / f"{number}x1" / "List.xml"
        file.parent.mkdir(parents=True)
        file.write_bytes(TONE[: number * 5000 + 1])
    lftp(site, f"mirror -R --parallel=4 {source} /")
    assert len(site.library.entries()) == 8
    lftp(site, f"mirror --parallel=4 / {target}")
    assert run("diff", "-r", source, target) == ""
    assert "7x1" in lftp(site, "ls Desktops")
    lftp(site, "rm -r Desktops; ls")
    assert site.library.entries() == []


@pytest.mark.needs("openssl", "lftp")
def test_lftp_uses_tls_for_commands_and_data(ftp_site: Any, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    site = ftp_site(certificate=certificate)
    (tmp_path / "a.raw").write_bytes(TONE)
    script = f"put {tmp_path}/a.raw; ls; get a.raw -o {tmp_path}/back"
    assert "a.raw" in lftp(site, script, tls=certificate[0])
    assert (tmp_path / "back").read_bytes() == TONE
    assert lftp(site, f"put {tmp_path}/a.raw", code=1) != ""


@pytest.mark.needs("curl")
def test_curl_uploads_fetches_resumes_and_deletes(site: Any, tmp_path: Path) -> None:
    url, login = f"ftp://127.0.0.1:{site.port}", ("curl", "-sS", "--user", f"admin:{PASSWORD}")
    (tmp_path / "a.raw").write_bytes(TONE)
    run(*login, "-T", tmp_path / "a.raw", f"{url}/ringers/a.raw", code=9)
    run(*login, "--ftp-create-dirs", "-T", tmp_path / "a.raw", f"{url}/ringers/a.raw")
    assert site.served("ringers/a.raw") == TONE
    for active in ((), ("--ftp-port", "-")):
        run(*login, *active, "-o", tmp_path / "back", f"{url}/ringers/a.raw")
        assert (tmp_path / "back").read_bytes() == TONE
    (tmp_path / "back").write_bytes(TONE[:30_000])
    run(*login, "-C", "-", "-o", tmp_path / "back", f"{url}/ringers/a.raw")
    assert (tmp_path / "back").read_bytes() == TONE
    assert "a.raw" in run(*login, f"{url}/ringers/")
    run(*login, "-Q", "DELE ringers/a.raw", f"{url}/")
    assert site.library.entries() == []


@pytest.mark.needs("openssl", "curl")
def test_curl_uses_tls(ftp_site: Any, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    site = ftp_site(certificate=certificate)
    url, login = f"ftp://127.0.0.1:{site.port}", ("curl", "-sS", "--user", f"admin:{PASSWORD}")
    tls = (*login, "--ssl-reqd", "--cacert", certificate[0])
    (tmp_path / "a.raw").write_bytes(TONE)
    run(*tls, "-T", tmp_path / "a.raw", f"{url}/a.raw")
    run(*tls, "-o", tmp_path / "back", f"{url}/a.raw")
    assert (tmp_path / "back").read_bytes() == TONE
    assert "AUTH TLS" in run(*login, "-v", f"{url}/", code=67)
    assert [username for username, _ in site.asked] == ["admin", "admin"]


def test_uploaded_config_is_accepted_or_refused_with_reason(site: Any) -> None:
    with site.client() as client:
        client.storbinary(f"STOR {NAME}", io.BytesIO(CONFIG))
        with pytest.raises(ftplib.error_perm) as refused:
            client.storbinary(f"STOR {NAME}", io.BytesIO(CONFIG[:-5]))
        assert str(refused.value).startswith("550-The config cannot be read by a phone:\n550 ")
        assert client.pwd() == "/"
    assert site.served(NAME) == CONFIG


def test_ascii_transfer_changes_no_byte(site: Any) -> None:
    with site.client() as client:
        client.sendcmd("TYPE A")
        client.storlines("STOR a.xml", io.BytesIO(CONFIG))
        sent = CONFIG.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert site.served("a.xml") == sent
        assert client.size("a.xml") == len(sent)


@pytest.mark.parametrize("host", ["::", "::1"])
def test_server_on_ipv6_serves_both_families(ftp_site: Any, host: str) -> None:
    site = ftp_site(host=host)
    for address in ("::1", "127.0.0.1") if host == "::" else ("::1",):
        with site.client(address) as client:
            client.storbinary("STOR a.raw", io.BytesIO(TONE))
            client.set_pasv(False)
            assert client.nlst() == ["a.raw"]
            client.retrbinary("RETR a.raw", lambda _: None)
        fetch = site.fetches.get(timeout=5)
        assert (fetch.peer[0], fetch.local, fetch.protocol) == (address, address, "ftp")


@pytest.mark.needs("openssl")
def test_python_client_uses_tls(ftp_site: Any, certificate: tuple[Path, Path], trusting: ssl.SSLContext) -> None:
    site = ftp_site(certificate=certificate)
    with ftplib.FTP_TLS(context=trusting, timeout=5) as client:
        client.connect("127.0.0.1", site.port)
        client.login("admin", PASSWORD)
        with pytest.raises(ftplib.error_perm, match="data channel"):
            client.nlst()
        client.prot_p()
        client.storbinary("STOR a.raw", io.BytesIO(TONE))
        got = io.BytesIO()
        client.retrbinary("RETR a.raw", got.write)
        assert got.getvalue() == TONE
        with pytest.raises(ftplib.error_perm, match="534"):
            client.prot_c()
    assert site.fetches.get(timeout=5).acknowledged == len(TONE)


TREE = ("a.xml", "b.xml", "c.raw", "noextension", "my folder/d.xml", "Desktops/320x212x16/List.xml")
ROOT = ["Desktops", "a.xml", "b.xml", "c.raw", "my folder", "noextension"]


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        *(
            (argument, ROOT)
            for argument in ("", "/", "-al", "-al /", "-a -l /", "-l -a", ".", "*", "/*", "*.*", "-l *")
        ),
        ("*.xml", ["a.xml", "b.xml"]),
        ("-la *.xml", ["a.xml", "b.xml"]),
        ("?.raw", ["c.raw"]),
        ("[ab].xml", ["a.xml", "b.xml"]),
        ("*.absent", []),
        ("absent/*.xml", []),
        ("Desk*", ["Desktops"]),
        *((argument, ["List.xml"]) for argument in ("Desktops/320x212x16", "Desktops\\320x212x16\\*.*")),
        *((argument, ["List.xml"]) for argument in ("Desktops\\320x212x16\\", "/Desktops/320x212x16/*.xml")),
        ("Desktops\\*.*", ["320x212x16"]),
        ("my folder", ["d.xml"]),
        ("-l my folder/*.xml", ["d.xml"]),
        ("a.xml", ["a.xml"]),
    ],
)
def test_listing_answers_as_other_servers_do(site: Any, argument: str, names: list[str]) -> None:
    for path in TREE:
        (site.root / path).parent.mkdir(parents=True, exist_ok=True)
        (site.root / path).write_bytes(b"x")
    site.library.refresh()
    with site.client() as client:
        lines: list[str] = []
        client.retrlines(f"LIST {argument}".strip(), lines.append)
        assert sorted(line.split(maxsplit=8)[8] for line in lines) == sorted(names)
        found: list[str] = []
        client.retrlines(f"NLST {argument}".strip(), found.append)
        assert sorted(name.rpartition("/")[2] for name in found) == sorted(names)
        if "*" in argument:
            for name in found:
                if not name.endswith(("Desktops", "my folder", "x16")):
                    client.retrbinary(f"RETR {name}", lambda _: None)
        if argument:
            status = client.sendcmd(f"STAT {argument}")
            assert all(name in status for name in names)


def test_listing_of_absent_file_is_550(site: Any) -> None:
    with site.client() as client:
        for command in ("LIST absent.xml", "NLST -l absent.xml", "STAT absent.xml"):
            with pytest.raises(ftplib.error_perm, match=r"^550"):
                client.retrlines(command) if command[0] != "S" else client.sendcmd(command)


def test_listing_of_name_like_a_pattern_is_that_file(site: Any) -> None:
    for name in ("a[1].xml", "a1.xml"):
        (site.root / name).write_bytes(b"x")
    site.library.refresh()
    with site.client() as client:
        assert client.nlst("a[1].xml") == ["a[1].xml"]
