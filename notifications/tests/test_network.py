"""Where a delivery goes, over real sockets: what is resolved is faked, and nothing else."""

from __future__ import annotations

import datetime as dates
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from notifications import network
from notifications.network import post

from .test_addresses import answer_with

HEADERS = {"webhook-id": "msg_1"}


@pytest.fixture
def connected(monkeypatch):
    """The addresses to which connections were asked for. None is made."""
    found = []

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        found.append((host, port, timeout))
        raise httpcore.ConnectError("not in this test")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    return found


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:{port}/",
        "https://localhost:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://0.0.0.0:{port}/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[fd00:ec2::254]/latest/",
    ],
)
def test_a_private_address_is_refused_at_delivery(url, receiver, connected):
    """However it got into the row: the setting may have been another one then."""
    answer = post(url.format(port=receiver.server_port), b"{}", HEADERS)

    assert answer.status is None and "no public address" in answer.failure
    assert connected == [] and receiver.got == []


def test_a_name_that_leads_to_a_private_address_is_refused(receiver, connected, monkeypatch):
    answer_with(monkeypatch, ["127.0.0.1"])
    answer = post(f"https://hooks.example:{receiver.server_port}/", b"{}", HEADERS)

    assert "It leads to 127.0.0.1" in answer.failure
    assert connected == [] and receiver.got == []


def test_a_name_that_is_rebound_after_the_check_gains_nothing(receiver, connected, monkeypatch):
    """It is resolved once, and the connection goes to what was checked."""
    asked = answer_with(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    post(f"https://rebind.example:{receiver.server_port}/", b"{}", HEADERS)

    assert asked == ["rebind.example"]
    assert [host for host, _, _ in connected] == ["93.184.216.34"]
    assert receiver.got == []


def test_a_name_that_is_rebound_between_two_deliveries_is_refused(connected, monkeypatch):
    answer_with(monkeypatch, ["93.184.216.34"], ["192.168.0.1"])
    answers = [post("https://rebind.example/", b"{}", HEADERS) for _ in range(2)]

    assert "no connection" in answers[0].failure and "192.168.0.1" in answers[1].failure
    assert len(connected) == 1


def test_every_address_of_a_name_is_tried(connected, monkeypatch):
    answer_with(monkeypatch, ["93.184.216.34", "93.184.216.35"])
    answer = post("https://two.example/", b"{}", HEADERS)

    assert [host for host, _, _ in connected] == ["93.184.216.34", "93.184.216.35"]
    assert all(timeout <= network.CONNECT_SECONDS for _, _, timeout in connected)
    assert answer.failure == "There is no connection to it: not in this test"


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A certificate of hooks.example that the network trusts. The path of it with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.example")])
    now = dates.datetime.now(dates.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dates.timedelta(days=1))
        .not_valid_after(now + dates.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    network.tls.cache_clear()
    yield path
    network.tls.cache_clear()


@pytest.fixture
def secure(receiver, certificate, monkeypatch, allow_private):
    """The receiver speaks TLS. The names that were asked for in its handshakes."""
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda connection, name, _: names.append(name)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    answer_with(monkeypatch, ["127.0.0.1"])
    return names


def test_the_name_is_in_the_handshake_and_in_the_host_header(receiver, secure):
    url = f"https://hooks.example:{receiver.server_port}/path?query"
    answer = post(url, b"{}", HEADERS)

    assert (answer.status, answer.failure) == (204, "")
    [got] = receiver.got
    assert secure == ["hooks.example"]
    assert got.headers["Host"] == f"hooks.example:{receiver.server_port}"
    assert (got.path, got.body) == ("/path?query", b"{}")


def test_a_certificate_of_another_name_is_refused(receiver, secure):
    answer = post(f"https://other.example:{receiver.server_port}/", b"{}", HEADERS)

    assert answer.status is None and "certificate" in answer.failure
    assert receiver.got == []


def test_a_handshake_that_stalls_is_cut_off(allow_private, certificate):
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        answer = post(url, b"{}", HEADERS, seconds=0.5)

    assert answer.failure == "It did not answer in time."
    assert time.monotonic() - began < 3


# --- Proxies --------------------------------------------------------------------------------------


@pytest.fixture
def company_proxy(proxy, monkeypatch):
    """A proxy that connects, whatever it is asked for, to `to`. What it was asked for."""
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append((self.path, self.headers["Proxy-Authorization"]))
            if self.server.to is None:
                self.send_error(403)
                return
            self.send_response(200)
            self.end_headers()
            with socket.create_connection(self.server.to) as there:
                threading.Thread(target=pump, args=[there, self.connection], daemon=True).start()
                pump(self.connection, there)

        def log_message(self, *args):
            pass

    def pump(source, target):
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except OSError:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.asked, server.to = asked, None
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        address = f"http://me:p%40ss@127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.delenv("https_proxy", raising=False)
        yield server
        server.shutdown()


def test_a_proxy_is_asked_for_the_address_that_was_checked(
    company_proxy, receiver, certificate, monkeypatch, settings
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    company_proxy.to = receiver.server_address
    real = socket.getaddrinfo

    def public(host, port, *args, **options):
        if host != "hooks.example":
            return real(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", public)
    answer = post("https://hooks.example/", b"{}", HEADERS)

    assert (answer.status, answer.failure) == (204, "")
    assert company_proxy.asked == [("93.184.216.34:443", "Basic bWU6cEBzcw==")]
    assert receiver.got[0].headers["Host"] == "hooks.example"


def test_a_proxy_that_refuses_is_a_failure(company_proxy, monkeypatch):
    answer = post("https://93.184.216.34/", b"{}", HEADERS)

    assert answer.failure.startswith("There is no connection to it: the proxy answers: HTTP/1")


def test_a_private_address_is_refused_behind_a_proxy_too(company_proxy):
    answer = post("https://10.0.0.1/", b"{}", HEADERS)

    assert "no public address" in answer.failure and company_proxy.asked == []


def test_no_proxy_is_asked_for_this_machine_or_an_exception(
    proxy, receiver, allow_private, monkeypatch
):
    assert post(receiver.url, b"{}", HEADERS).status == 204
    assert post(receiver.url.replace("127.0.0.1", "localhost"), b"{}", HEADERS).status == 204
    monkeypatch.setenv("NO_PROXY", "hooks.example")
    answer_with(monkeypatch, ["127.0.0.1"])
    url = f"http://hooks.example:{urlsplit(receiver.url).port}/"
    assert post(url, b"{}", HEADERS).status == 204
    assert proxy == []
