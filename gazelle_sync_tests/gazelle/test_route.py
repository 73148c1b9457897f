"""Proxies and certificates: the variable that is wrong is named, and what time won't mend is not tried again."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gazelle_sync.gazelle import ApiKey, Client, Refused, Unavailable
from gazelle_sync.gazelle.transport import Transport
from gazelle_sync_tests.conftest import AT_ONCE
from gazelle_sync_tests.gazelle.conftest import Answer, Scripted

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SECRET = "MARKED-password"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(url: str, **options: Any) -> dict[str, Any]:
    client = Client(Transport(url, **{"requests_per_second": 1000, "patience": 30, **options}), ApiKey("k"))
    try:
        return client.execute("the clients", "{ x }", {})
    finally:
        client.close()


def refused(url: str) -> str:
    """Why it was refused; at once."""
    began = time.monotonic()
    with pytest.raises(Refused) as caught:
        ask(url)
    assert time.monotonic() - began < AT_ONCE
    assert SECRET not in str(caught.value)
    return str(caught.value)


# -- certificates -----------------------------------------------------------------------------------------------------


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate that signed itself, with its key in the same file."""
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    alternative = f"subjectAltName={'IP' if name[0].isdigit() else 'DNS'}:{name}"
    subprocess.run(
        [*command, "-addext", alternative, "-keyout", str(key), "-out", str(file)], check=True, capture_output=True
    )
    with file.open("a") as pem:
        pem.write(key.read_text())
    return file


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    return {name: make_certificate(folder, name) for name in ("127.0.0.1", "gazelle.example")}


@pytest.fixture
def secure(certificates: dict[str, Path]) -> Iterator[Callable[[str], tuple[str, Scripted]]]:
    """A scripted server behind TLS, with the certificate of a name."""
    servers: list[Scripted] = []

    def secure(name: str) -> tuple[str, Scripted]:
        server = Scripted()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates[name])
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        servers.append(server)
        return server.url.replace("http://", "https://"), server

    yield secure
    for server in servers:
        server.close()


def test_a_certificate_that_nobody_known_signed_is_refused_with_the_variable(
    secure: Callable[[str], tuple[str, Scripted]], certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    url, server = secure("127.0.0.1")
    text = refused(url)
    assert text.startswith("The certificate of 127.0.0.1 can't be verified: self")
    assert "REQUESTS_CA_BUNDLE" in text
    assert "when Gazelle is well" not in text
    assert server.asked == []
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates["127.0.0.1"]))
    assert ask(url) == {}


def test_so_is_one_of_another_host_though_it_is_trusted(
    secure: Callable[[str], tuple[str, Scripted]], certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    url, _ = secure("gazelle.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates["gazelle.example"]))
    assert "can't be verified: IP address mismatch" in refused(url)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["missing", "no certificates", "empty"])
def test_a_bundle_that_can_not_be_used_is_named_with_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, kind: str
):
    path = tmp_path / "ca.pem"
    if kind != "missing":
        path.write_text("hello" if kind == "no certificates" else "")
    monkeypatch.setenv(variable, str(path))
    text = refused("https://127.0.0.1:9")
    assert text.startswith(f"{variable} names {path}, ")
    assert ("which is not there" if kind == "missing" else "can't be used") in text


def test_a_bundle_does_not_matter_where_there_is_no_tls(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing"))
    assert ask(scripted.url) == {}


# -- proxies ----------------------------------------------------------------------------------------------------------


class Proxy:
    """A proxy that answers every CONNECT and every POST with one status."""

    def __init__(self, status: int) -> None:
        self.asked = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                proxy.asked += 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_CONNECT

            def log_message(self, *_: Any) -> None:
                """Nothing: the tests look at `asked`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def proxy() -> Iterator[Callable[[int], Proxy]]:
    proxies: list[Proxy] = []

    def proxy(status: int) -> Proxy:
        proxies.append(Proxy(status))
        return proxies[-1]

    yield proxy
    for each in proxies:
        each.close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "value", ["http://[::1", "http://", f"http://u:{SECRET}@h:x", "ftp://proxy:21", "http://proxy:99999", "::"]
)
def test_a_proxy_that_is_no_address_is_refused_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
):
    monkeypatch.setenv(variable, value)
    text = refused("https://gazelle.example")
    assert text.startswith(f"{variable} is not the address of a proxy."), text


def test_a_proxy_of_socks_needs_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch):
    # Selenium brings the package to whoever tests.
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("ALL_PROXY", f"socks5h://u:{SECRET}@proxy.example:1080")
    assert "ALL_PROXY names a SOCKS proxy, for which a package is missing" in refused("https://gazelle.example")


@pytest.mark.parametrize(("scheme", "status"), [("https", 407), ("https", 403), ("http", 407)])
def test_a_proxy_that_does_not_let_us_through_is_named(
    proxy: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch, scheme: str, status: int
):
    met = proxy(status)
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://u:{SECRET}@{met.address}")
    text = refused(f"{scheme}://gazelle.example")
    assert f"The proxy that {scheme.upper()}_PROXY names does not let us through (HTTP {status})" in text
    assert met.asked == 1


def test_a_proxy_that_speaks_no_tls_is_named(proxy: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", f"https://{proxy(200).address}")
    text = refused("https://gazelle.example")
    assert text.startswith("HTTPS_PROXY begins with https://, but that proxy does not speak TLS.")


@pytest.mark.parametrize("status", [502, None])
def test_a_proxy_in_trouble_is_tried_again_and_named(
    proxy: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch, status: int | None
):
    address = proxy(status).address if status else "127.0.0.1:9"
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:{SECRET}@{address}")
    with pytest.raises(Unavailable) as caught:
        ask("https://gazelle.example", patience=1)
    assert "no answer through the proxy that HTTPS_PROXY names" in str(caught.value)
    assert "in 1 attempt" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_host_without_a_proxy_is_not_asked_through_one(scripted: Scripted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    scripted.answer(Answer('{"data": {"a": 1}}'))
    assert ask(scripted.url) == {"a": 1}
