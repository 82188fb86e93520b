"""TLS in front of a server of this machine, for clients that speak nothing else."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextmanager
def encrypted(port, folder):
    """A port that passes on what comes to it over TLS, and the certificate to trust."""
    certificate, key = _certified(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, context, port), daemon=True).start()
        yield listening.getsockname()[1], certificate


def _serve(listening, context, port):
    with suppress(OSError):  # closed at the end
        while True:
            came, _ = listening.accept()
            threading.Thread(target=_pass_on, args=(came, context, port), daemon=True).start()


def _pass_on(came, context, port):
    with suppress(OSError), context.wrap_socket(came, server_side=True) as client:
        client.settimeout(0.02)  # reading and writing take turns: TLS allows no two threads
        with socket.create_connection(("127.0.0.1", port)) as server:
            server.settimeout(0.02)
            while _moved(client, server) and _moved(server, client):
                pass


def _moved(source, target):
    """Pass on what is there. Returns False at the end."""
    try:
        data = source.recv(1 << 16)
    except TimeoutError:
        return True
    target.settimeout(20)
    target.sendall(data)
    target.settimeout(0.02)
    return bool(data)


def _certified(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private
