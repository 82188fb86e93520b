from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

import pytest

from notifications import addresses

PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "2a00:1450:4001::200e",
]
NOT_PUBLIC = [
    *("127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("2001:db8::1", "2001::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1"),
    *("64:ff9b:1::1", "100::1", "3fff::1", "4000::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert addresses.is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_every_other_address_is_not(address):
    assert not addresses.is_public(ip_address(address))


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://example.com", "https://example.com"),
        ("  https://Example.COM:8443/a?b=c#d ", "https://example.com:8443/a?b=c"),
        (
            "https://bücher.example/ä".replace("/ä", "/%C3%A4"),
            "https://xn--bcher-kva.example/%C3%A4",
        ),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700::1111]:444/", "https://[2606:4700:4700::1111]:444/"),
    ],
)
def test_an_address_has_one_form(url, form):
    assert addresses.checked_url(url) == form


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("", "1 to 500"),
        ("https://example.com/" + "a" * 500, "1 to 500"),
        ("http://example.com", "https://"),
        ("ftp://example.com", "https://"),
        ("example.com", "https://"),
        ("javascript:alert(1)", "https://"),
        ("https://", "like https://example.com"),
        ("https:///path", "like https://example.com"),
        ("https://user:password@example.com", "name and password"),
        ("https://@example.com", "name and password"),
        ("https://example.com:99999", "like https://example.com"),
        ("https://example.com:0", "like https://example.com"),
        ("https://example.com:port", "like https://example.com"),
        ("https://[::1", "like https://example.com"),
        ("https://exa mple.com", "like https://example.com"),
        ("https://a..b", "like https://example.com"),
        ("https://" + "a" * 70 + ".example", "like https://example.com"),
        ("https://example.com/é", "ASCII"),
        ("https://example.com/\x00", "like https://example.com"),
        ("https://127.0.0.1/", "127.0.0.1"),
        ("https://[::1]/", "::1"),
        ("https://[::ffff:10.0.0.1]/", "no public address"),
        ("https://169.254.169.254/latest/meta-data/", "169.254.169.254"),
    ],
)
def test_other_addresses_are_refused_in_words(url, word):
    with pytest.raises(addresses.AddressRefused, match=word.replace("(", r"\(")):
        addresses.checked_url(url)


@pytest.mark.parametrize(
    "url", ["http://localhost:9000/hooks", "https://127.0.0.1", "http://[::1]:1/"]
)
def test_on_a_machine_of_ones_own_http_and_private_addresses_are_allowed(url, allow_private):
    assert addresses.checked_url(url) == url


@pytest.mark.parametrize(
    "name", ["localhost", "0x7f.1", "2130706433", "127.1", "0", "017700000001"]
)
def test_names_and_spellings_of_this_machine_are_refused_once_they_are_resolved(name):
    with pytest.raises(addresses.AddressRefused, match="no public address"):
        addresses.resolved(name, 443, seconds=5)


def answer_with(monkeypatch, *found):
    """The resolver says this, one after the other, the last one again and again."""
    asked, answers = [], list(found)

    def getaddrinfo(host, port, *args, **options):
        asked.append(host)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_private_address_among_public_ones_refuses_them_all(monkeypatch):
    answer_with(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(addresses.AddressRefused, match=r"10\.0\.0\.1"):
        addresses.resolved("example.com", 443, seconds=5)


def test_a_name_without_an_address_is_told(monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(addresses.NameUnknown, match=r"nobody\.example"):
        addresses.resolved("nobody.example", 443, seconds=5)


def test_a_resolver_that_says_nothing_is_waited_for_a_while(monkeypatch):
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: end.wait(30) and [])
    began = time.monotonic()
    with pytest.raises(addresses.NameUnknown, match="Nobody said"):
        addresses.resolved("slow.example", 443, seconds=0.1)
    assert time.monotonic() - began < 5
    end.set()
