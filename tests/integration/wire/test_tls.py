"""TLS: who is trusted, that a refused certificate sees no request, and that certificates are read once."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from canary.wire import trust
from canary.wire.call import Patience, Wire
from canary.wire.endpoints import LAMBDA
from canary.wire.faults import Unreached

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:transformer-v2:live"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def certificate(folder: Path, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """One that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, kept = folder / f"{name}.pem", folder / f"{name}.key"
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kept.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return shown, kept


@contextmanager
def served(shown: Path, key: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server that answers every request with OK. Gives its URL and what reached it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, key)
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def one(plain: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            connection.settimeout(60)
            while piece := connection.recv(65_536):
                seen.append(piece)
                connection.sendall(OK)

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(plain,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(3)


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch):
    """Nothing is trusted but what the test says, and no context was made yet."""
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    trust.context.cache_clear()
    yield
    trust.context.cache_clear()


def invoke(url: str, times: int = 1) -> None:
    wire = Wire("eu-west-1", (LAMBDA,), {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"})
    for _ in range(times):
        wire.invoke(FUNCTION, b"{}", "e30=", Patience(60, 60, 1))
    wire.close()


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_what_the_environment_trusts_is_trusted(tmp_path, monkeypatch, variable):
    shown, key = certificate(tmp_path, "ours")
    monkeypatch.setenv(variable, str(shown))
    with served(shown, key) as (url, seen):
        invoke(url, 2)
    assert len(seen) == 2


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(tmp_path):
    with served(*certificate(tmp_path, "theirs")) as (url, seen), pytest.raises(Unreached, match="certificate"):
        invoke(url)
    assert seen == []


def test_what_the_environment_trusts_is_not_gone_beyond(tmp_path, monkeypatch):
    (ours, _), (theirs, key) = certificate(tmp_path, "ours"), certificate(tmp_path, "theirs")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ours))
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
    with served(theirs, key) as (url, seen), pytest.raises(Unreached):
        invoke(url)
    assert seen == []


def test_a_certificate_of_another_host_is_refused(tmp_path, monkeypatch):
    shown, key = certificate(tmp_path, "elsewhere", "127.0.0.9")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(shown))
    with served(shown, key) as (url, seen), pytest.raises(Unreached):
        invoke(url)
    assert seen == []


def test_should_amazons_certificates_hang_on_other_roots_the_systems_store_decides(tmp_path, monkeypatch):
    shown, key = certificate(tmp_path, "new-root")
    monkeypatch.setenv("SSL_CERT_FILE", str(shown))
    with served(shown, key) as (url, seen):
        invoke(url)
    assert len(seen) == 1


def test_certificates_are_read_once_for_all_connections(tmp_path, monkeypatch):
    shown, key = certificate(tmp_path, "ours")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(shown))
    with served(shown, key) as (url, _):
        for _ in range(3):
            invoke(url)
    assert trust.context.cache_info().misses == 1


def test_an_environment_whose_certificates_cannot_be_read_reaches_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    with served(*certificate(tmp_path, "ours")) as (url, seen), pytest.raises(Unreached):
        invoke(url)
    assert seen == []


def test_amazons_roots_are_those_that_botocore_trusts_too_and_are_valid_for_years():
    mine, theirs = (
        set(re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", Path(file).read_text(), re.DOTALL))
        for file in (trust.ROOTS, Path(botocore.__file__).with_name("cacert.pem"))
    )
    assert len(mine) == 5
    assert mine <= theirs
    for each in trust.context(trust.ROOTS).get_ca_certs():
        names = {field[0][0]: field[0][1] for field in each["subject"]}
        assert names["organizationName"] in ("Amazon", "Starfield Technologies, Inc.")
        assert int(each["notAfter"].split()[3]) >= 2037
