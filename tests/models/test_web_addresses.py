"""What is on the public web, and what a person allows beside it."""

import ipaddress

import psutil
import pytest

from models.web_addresses import Allowed, is_public, own_networks

INNER = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "fe80::1", "fec0::1",
    "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", INNER)
def test_what_only_this_computer_or_its_network_reaches_is_not_public(address: str):
    assert not is_public(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", PUBLIC)
def test_the_rest_is(address: str):
    assert is_public(ipaddress.ip_address(address), ())


def test_a_neighbour_with_a_public_address_is_a_neighbour():
    own = (ipaddress.ip_network("2606:4700:1:2::/64"), ipaddress.ip_network("8.8.4.0/24"))

    assert not is_public(ipaddress.ip_address("2606:4700:1:2::9"), own)
    assert not is_public(ipaddress.ip_address("8.8.4.4"), own)
    assert is_public(ipaddress.ip_address("2606:4700:1:3::9"), own)


def test_every_address_of_this_computer_is_its_own():
    addresses = {
        each.address.partition("%")[0]
        for interface in psutil.net_if_addrs().values()
        for each in interface
        if "." in each.address or each.address.count(":") != 5  # those of the hardware have 5
    }

    own = own_networks()

    assert addresses
    for address in map(ipaddress.ip_address, addresses):
        assert any(address in each for each in own if each.version == address.version)


def test_a_person_allows_names_addresses_and_networks():
    allowed = Allowed.of(["NAS.lan.", "192.168.1.7/24", "[::1]", "10.0.0.1"])

    assert allowed.has_name("nas.lan") and allowed.has_name("nas.LAN.")
    assert not allowed.has_name("other.nas.lan")
    for address in ("192.168.1.200", "::1", "10.0.0.1"):
        assert allowed.has_address(ipaddress.ip_address(address))
    for address in ("192.168.2.1", "::2", "10.0.0.2"):
        assert not allowed.has_address(ipaddress.ip_address(address))


@pytest.mark.parametrize("word", ["", "http://nas.lan", "a/b", "1.2.3", "1.2.3.4/33", "a b", "*"])
def test_what_is_no_host_is_refused(word: str):
    with pytest.raises(ValueError, match=r".*"):
        Allowed.of([word])
