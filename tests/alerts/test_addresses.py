"""Where a webhook may go: tenants name the targets, and none may be a way into the operator's network."""

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from pytest_django import Settings

from alerts import addresses

INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0",  # noqa: S104 - looked at, not bound
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "192.0.0.8",
    "192.0.0.9", "192.88.99.1", "192.0.2.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1",
    "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:93.184.216.34", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "64:ff9b:1::5db8:d822", "2002:7f00:1::", "2002:5db8:d822::", "2001::1", "100::1",
]  # fmt: skip
OUTSIDE = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
# Other ways to write an address of this machine or network, which the resolver understands.
DISGUISED = [
    "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://localhost/",
    "https://127.0.0.1:8443/hook", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://169.254.169.254/latest/meta-data/", "https://0/", "https://[fe80::1%25lo]/",
]  # fmt: skip
MALFORMED = [
    "", "hook", "http://93.184.216.34/", "ftp://93.184.216.34/", "file:///etc/passwd", "gopher://127.0.0.1/",
    "https://", "https:///hook", "https://user:pass@93.184.216.34/", "https://user@93.184.216.34/",
    "https://93.184.216.34:0/", "https://93.184.216.34:99999/", "https://[93.184.216.34/",
    "https://93.184.216.34/\r\nHost: inside", "https://93.184.216.34/ hook", "javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not addresses.is_public(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_public(address: str) -> None:
    assert addresses.is_public(ip_address(address))


@pytest.mark.parametrize("url", DISGUISED)
def test_an_address_inside_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises((addresses.Refused, addresses.Unresolved)):
        addresses.resolve(url)


@pytest.mark.parametrize("url", MALFORMED)
def test_what_is_no_https_address_is_refused(url: str) -> None:
    with pytest.raises(addresses.Refused):
        addresses.resolve(url)


def test_a_public_address_is_a_target() -> None:
    target = addresses.resolve("https://93.184.216.34/hook?a=b")
    assert target.connected_url == "https://93.184.216.34:443/hook?a=b"
    assert target.host_header == "93.184.216.34"


def test_a_name_is_resolved_once_and_connected_to_by_that_very_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers a public address when asked, and one inside a moment later, gains nothing."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: _found(next(answers)))
    target = addresses.resolve("https://rebinding.example:8443/hook#part")
    assert target.connected_url == "https://93.184.216.34:8443/hook"
    assert target.host_header == "rebinding.example:8443"
    assert target.host == "rebinding.example", "the name that the certificate is about"


def test_a_name_with_one_address_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: _found("93.184.216.34", "10.0.0.1"))
    with pytest.raises(addresses.Refused, match=r"mixed\.example is not on the public internet"):
        addresses.resolve("https://mixed.example/")


def test_a_name_without_an_address_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(addresses.Unresolved, match=r"nowhere\.example has no address"):
        addresses.resolve("https://nowhere.example/")


def test_a_setting_lets_webhooks_reach_this_machine(settings: Settings) -> None:
    settings.ALERTS_ALLOW_PRIVATE_TARGETS = True
    assert addresses.resolve("http://127.0.0.1:9000/hook").connected_url == "http://127.0.0.1:9000/hook"
    with pytest.raises(addresses.Refused):
        addresses.resolve("ftp://127.0.0.1/")


def _found(*found: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in found]
