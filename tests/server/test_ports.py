"""Ports are taken only when nobody else has them."""

import socket

import pytest

from server.ports import CannotListen, PortInUse, listen, next_free_port

HOST = "127.0.0.1"


@pytest.fixture
def taken():
    """A port that another program answers on."""
    with socket.create_server((HOST, 0)) as other:
        yield other.getsockname()[1]


def test_a_port_in_use_is_named(taken):
    with pytest.raises(PortInUse) as caught:
        listen(HOST, [taken])

    assert caught.value.port == taken
    assert str(caught.value).startswith(f"Port {taken} is in use by another program")


def test_a_port_is_not_taken_from_one_who_has_every_address():
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(PortInUse):
        listen(HOST, [other.getsockname()[1]])


def test_no_port_is_taken_where_one_is_in_use(taken):
    free = next_free_port(HOST, taken)

    with pytest.raises(PortInUse):
        listen(HOST, [free, taken])

    assert next_free_port(HOST, free) == free


def test_the_next_free_port_is_the_port_itself_when_it_is_free(taken):
    free = next_free_port(HOST, taken)

    assert free > taken
    assert next_free_port(HOST, free) == free


def test_an_address_that_is_not_ours_is_told():
    with pytest.raises(CannotListen) as caught:
        listen("192.0.2.1", [0])

    assert "192.0.2.1" in str(caught.value)


def test_a_name_that_nobody_knows_is_told():
    with pytest.raises(CannotListen):
        listen("no such host", [0])
