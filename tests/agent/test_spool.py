"""The agent's own memory survives it, and is small."""

from pathlib import Path

from tests.full_disk import no_room

from hutong.agent.spool import Spool
from hutong.core.kernel.ids import AttemptKey


def key(number: int) -> AttemptKey:
    return AttemptKey(f"ht-{number:026}-a1")


def test_it_remembers(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.settle([key(2)], 20)
    spool.settle([key(1)], 10)
    spool.drop(key(3))
    again = Spool(tmp_path / "s")
    assert list(again.settled().items()) == [(key(1), 10), (key(2), 20)]
    again.drop(key(1))
    assert key(1) not in Spool(tmp_path / "s")
    assert key(2) in Spool(tmp_path / "s")


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "s"
    Spool(path).settle([key(1)], 10)
    with path.open("ab") as file:
        file.write(b'{"key": "ht-')
    spool = Spool(path)
    spool.settle([key(2)], 20)
    assert list(Spool(path).settled()) == [key(1), key(2)]


def test_a_full_disk_costs_repeats_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s"
    spool = Spool(path)
    spool.settle([key(1)], 10)
    with no_room():
        spool.settle([key(2)], 20)
        spool.drop(key(1))
        assert list(spool.settled()) == [key(2)]
        assert list(Spool(path).settled()) == [key(1)]
    assert [each.name for each in tmp_path.iterdir()] == ["s"]
    spool.settle([key(3)], 30)
    assert list(Spool(path).settled()) == [key(1), key(3)]


def test_it_does_not_grow(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    for number in range(700):
        spool.settle([key(number)], number)
        spool.drop(key(number))
    assert len((tmp_path / "s").read_bytes().splitlines()) <= 1_000
