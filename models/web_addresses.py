"""Which addresses are on the public web, and which others a person has allowed."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import psutil

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?")
# Python knows it by its parts only, and older ones by fewer (RFC 6890); relays of 6to4.
_SPECIAL = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("192.88.99.0/24"))
# What is handed out of IPv6 (RFC 4291), and of it what only wraps an IPv4 address: Teredo, 6to4.
_GLOBAL = ipaddress.IPv6Network("2000::/3")
_WRAPPED = (ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("2002::/16"))
# An IPv4 address as a network without IPv4 writes it (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What these mean nobody has to be asked, and nobody else shall say (RFC 6761).
_HERE = "localhost"
_LOOPBACK = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
# A network of our own that is said to be wider than this is a tunnel to everywhere.
_WIDEST_OWN = {4: 16, 6: 48}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person lets pictures be fetched from, beside the public web."""

    names: frozenset[str] = frozenset()
    networks: tuple[IpNetwork, ...] = ()

    @classmethod
    def of(cls, words: Iterable[str]) -> "Allowed":
        """Read host names, addresses, and networks as in 192.168.1.0/24.

        Raises:
            ValueError: one of them is neither.
        """
        names: set[str] = set()
        networks: list[IpNetwork] = []
        for word in words:
            try:
                networks.append(ipaddress.ip_network(word.strip("[]"), strict=False))
            except ValueError:
                name = word.lower().rstrip(".")
                # Digits and dots alone are an address that is none.
                if not _NAME.fullmatch(name) or not re.search("[a-z]", name):
                    raise
                names.add(name)
        return cls(frozenset(names), tuple(networks))

    def has_name(self, host: str) -> bool:
        return host.lower().rstrip(".") in self.names

    def has_address(self, address: IpAddress) -> bool:
        return any(address in each for each in self.networks if each.version == address.version)


def meant_by(host: str) -> tuple[IpAddress, ...]:
    """Return what a host means that is no name: an address, however it is written, or this
    computer; () where it is a name, of which a resolver has to be asked."""
    bare = host.lower().rstrip(".")
    if bare == _HERE or bare.endswith("." + _HERE):
        return _LOOPBACK
    try:
        return (ipaddress.ip_address(bare),)
    except ValueError:
        pass
    try:
        return (ipaddress.IPv4Address(socket.inet_aton(bare)),)  # 127.1, 0x7f000001, 017700000001
    except (OSError, UnicodeError):
        return ()


def is_public(address: IpAddress, own: Iterable[IpNetwork]) -> bool:
    """Whether an address is on the public web, and in no network that this computer is in."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            return is_public(inner, own)
        if address not in _GLOBAL or any(address in each for each in _WRAPPED):
            return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in each for each in (*_SPECIAL, *own) if each.version == address.version)


def own_networks() -> tuple[IpNetwork, ...]:
    """The networks of this computer, and its own addresses: behind them are its neighbours."""
    found: list[IpNetwork] = []
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            try:
                address = ipaddress.ip_address(each.address.partition("%")[0])
                found.append(ipaddress.ip_network(address))
                network = ipaddress.ip_network(f"{address}/{_prefix(each.netmask)}", strict=False)
            except ValueError:  # a hardware address, or no mask
                continue
            if network.prefixlen >= _WIDEST_OWN[network.version]:
                found.append(network)
    return tuple(found)


def _prefix(netmask: str | None) -> int:
    """Raises ValueError."""
    if not netmask:
        raise ValueError("there is none")
    return int(ipaddress.ip_address(netmask)).bit_count()
