"""Which hosts and which web pages are let in."""

import socket

import pytest

from server.security import HostCheck, Origins


@pytest.mark.parametrize(
    "header",
    [
        "",
        "localhost",
        "localhost:11434",
        "LOCALHOST",
        "127.0.0.1:11434",
        "127.9.9.9",
        "0.0.0.0:11434",
        "192.168.1.7",
        "10.0.0.1:80",
        "[::1]:11434",
        "[fd00::1]",
        "::1",
        "mymac.local",
        "a.localhost:3000",
        "host.docker.internal",
        socket.gethostname(),
        "203.0.114.9",  # where the call arrived, below
    ],
)
def test_a_name_of_this_computer_passes(header):
    assert HostCheck("127.0.0.1").allows(header, arrived_at="203.0.114.9")


@pytest.mark.parametrize(
    "header",
    [
        "evil.example",
        "evil.example:11434",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "8.8.8.8",
        "[2001:4860:4860::8888]",
        ".",
    ],
)
def test_a_name_from_elsewhere_does_not(header):
    assert not HostCheck("127.0.0.1").allows(header, arrived_at="127.0.0.1")


def test_the_name_that_was_chosen_to_listen_on_passes():
    assert HostCheck("box.example").allows("box.example:11434", arrived_at="203.0.114.9")


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://0.0.0.0:1",
        "app://obsidian.md",
        "tauri://localhost",
        "vscode-webview://abc",
        "file://",
    ],
)
def test_a_page_of_this_computer_may_call(origin):
    assert Origins().allow(origin, host="localhost:11434")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:3000.evil.example",
        "http://evil.example?localhost",
        "chrome-extension://abcdef",
        "null",
    ],
)
def test_a_page_from_elsewhere_may_not(origin):
    assert not Origins().allow(origin, host="localhost:11434")


def test_a_page_that_we_serve_may_call():
    assert Origins().allow("http://192.168.1.7:11434", host="192.168.1.7:11434")


def test_more_origins_can_be_named():
    origins = Origins(["chrome-extension://*", " https://ok.example ", ""])

    assert origins.allow("chrome-extension://abcdef", host="localhost")
    assert origins.allow("https://ok.example", host="localhost")
    assert not origins.allow("https://ok.example.evil.example", host="localhost")
