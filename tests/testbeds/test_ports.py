"""Ports of beds and tests are not given twice, and a server can use its own again and again."""

import socket

import pytest
from testbeds import ports
from testbeds.ports import Ports


def test_a_port_is_given_once_until_it_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Ports()
    port = probe.take()
    monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
    with Ports() as other:
        with pytest.raises(RuntimeError, match="no port of"):
            other.take()
        probe.release()
        assert other.take() == port
    with Ports() as third:
        assert third.take() == port


def test_a_port_on_which_somebody_listens_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with Ports() as mine:
        port = mine.take()
        for _ in range(2):
            with socket.create_server(("127.0.0.1", port)):
                pass
        with socket.create_server(("127.0.0.1", port)):
            mine.release()  # whoever listens there knows nothing of claims
            monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
            with pytest.raises(RuntimeError, match="is free"):
                mine.take()
