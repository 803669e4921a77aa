"""Ports are taken only when nobody else has them."""

import socket

import pytest

from server import ports
from server.ports import CannotListen, Listener, PortInUse, _has_ipv6, listen, next_free_port

HOST = "127.0.0.1"


@pytest.fixture
def taken():
    """A port that another program answers on."""
    with socket.create_server((HOST, 0)) as other:
        yield other.getsockname()[1]


def one_listener() -> Listener:
    listener, *others = listen(HOST, [0])
    for each in others:
        each.close()
    listener.setblocking(True)
    return listener


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


@pytest.mark.parametrize(("host", "port"), [("no such host", 0), (HOST, 70_000), ("x" * 99, 0)])
def test_what_is_no_address_is_told(host, port):
    with pytest.raises(CannotListen):
        listen(host, [port])


def test_small_pieces_are_sent_at_once():
    """asyncio sets TCP_NODELAY only on sockets that say that they are TCP."""
    listener = one_listener()
    with listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.proto == socket.IPPROTO_TCP


def test_hanging_up_reaches_everyone_who_was_let_in():
    listener = one_listener()
    with listener, socket.create_connection(listener.getsockname()) as client:
        connection, _ = listener.accept()
        with connection:
            listener.hang_up()
            listener.hang_up()
            assert client.recv(1) == b""


@pytest.mark.skipif(not _has_ipv6(), reason="This computer has no ::1")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_computer_is_listened_to_by_both_its_addresses(host):
    sockets = listen(host, [0, 0])
    first, second = sockets[:2], sockets[2:]

    for pair in (first, second):
        assert [each.getsockname()[0] for each in pair] == ["127.0.0.1", "::1"]
        assert len({each.getsockname()[1] for each in pair}) == 1
    assert first[0].getsockname()[1] != second[0].getsockname()[1]
    for each in sockets:
        each.close()


@pytest.mark.skipif(not _has_ipv6(), reason="This computer has no ::1")
def test_a_port_that_another_has_on_the_second_address_is_in_use():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse):
            listen(HOST, [port])
        assert next_free_port(HOST, port) > port


def test_without_ipv6_one_address_is_enough(monkeypatch):
    monkeypatch.setattr(ports, "_has_ipv6", lambda: False)

    [listener] = listen(HOST, [0])

    assert listener.getsockname()[0] == HOST
    listener.close()


def test_another_address_is_listened_to_alone():
    for host in ("::1", "0.0.0.0") if _has_ipv6() else ("0.0.0.0",):
        [listener] = listen(host, [0])
        listener.close()
