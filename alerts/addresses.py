"""Where a webhook may go. Tenants name the targets, so none of them may be a way into the operator's own network.

A name is resolved once, and the connection goes to the very address that was looked at: a name that answers something
else a moment later gains nothing. Redirects are not followed (alerts/posting.py).
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

# Of a network that translates: the last 32 bits are the IPv4 address that is really reached.
_TRANSLATED = IPv6Network("64:ff9b::/96")
# What carries an IPv4 address, serves a protocol or means this site alone; the versions of Python differ in what
# their `is_global` says of these.
_NOT_PLAIN = [
    ip_network(each)
    for each in (
        *("192.0.0.0/24", "192.88.99.0/24"),
        *("::/96", "::ffff:0:0/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
]
_PORTS = {"https": 443, "http": 80}


class Refused(ValueError):
    """A target that nothing is sent to; the text says why and names no address."""


class Unresolved(OSError):
    """A host's name has no address right now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A checked target: the address to connect to, and the name that its certificate and Host header are about."""

    url: str
    host: str
    port: int
    address: IPv4Address | IPv6Address

    @property
    def connected_url(self) -> str:
        """The URL with the address in place of the name."""
        parts = urlsplit(self.url)
        shown = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return parts._replace(netloc=f"{shown}:{self.port}", fragment="").geturl()

    @property
    def host_header(self) -> str:
        """The Host header that a client of the name would send."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[urlsplit(self.url).scheme] else f"{name}:{self.port}"


def look_at(url: str) -> SplitResult:
    """The parts of a URL that could be a target, without asking for its address. Raises Refused."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise Refused("This is not the address of a webhook.") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.ALERTS_ALLOW_PRIVATE_TARGETS):
        raise Refused("The address of a webhook begins with https://.")
    if not host or port == 0 or any(character.isspace() or not character.isprintable() for character in url):
        raise Refused("This is not the address of a webhook.")
    if parts.username is not None or parts.password is not None:
        raise Refused("The address of a webhook has no user or password in it.")
    return parts


def resolve(url: str) -> Target:
    """The one address that a message to `url` goes to. Raises Refused, Unresolved.

    A name is refused where any of its addresses is.
    """
    parts = look_at(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolved(f"{host} has no address.") from None
    addresses = [ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    if not settings.ALERTS_ALLOW_PRIVATE_TARGETS and not all(is_public(each) for each in addresses):
        raise Refused(f"{host} is not on the public internet.")
    # As the DNS and HTTP have names: in ASCII.
    return Target(url=url, host=host.encode("idna").decode(), port=port, address=addresses[0])


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the public internet, and not of this machine, this network, or of many at once."""
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    if any(address in network for network in _NOT_PLAIN):  # one of the other version is in none
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
