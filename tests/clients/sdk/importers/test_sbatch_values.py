"""Values of sbatch's options; the times and sizes were compared with what sbatch of Slurm 22.05 prints."""

import pytest

from hutong.clients.sdk.importers.sbatch_values import (
    UNLIMITED,
    BadValue,
    Cards,
    Nodes,
    read_cards,
    read_gres,
    read_megabytes,
    read_minutes,
    read_nodes,
    read_number,
    read_signal,
    write_megabytes,
    write_minutes,
)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30),
        ("30:00", 30),
        ("30:10", 31),
        ("000:30", 1),
        ("90:90", 92),
        ("1:2:3", 63),
        ("12:00:00", 720),
        ("2-3", 51 * 60),
        ("2-3:4", 51 * 60 + 4),
        ("2-3:4:5", 51 * 60 + 5),
        ("1-25", 49 * 60),
        ("1-", 1440),
        ("UNLIMITED", UNLIMITED),
        ("infinite", UNLIMITED),
        ("-1", UNLIMITED),
        ("0", UNLIMITED),
    ],
)
def test_times(text: str, minutes: int) -> None:
    assert read_minutes(text) == minutes


@pytest.mark.parametrize("text", ["abc", "1h", "1:2:3:4", "10:00:00:00", "1.5", "", "-", "1 day", "-5", "١٢"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadValue) as caught:
        read_minutes(text)
    assert "D-HH:MM:SS" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "megabytes", "written"),
    [
        ("4", 4, "4MiB"),
        ("4G", 4096, "4GiB"),
        ("4GB", 4096, "4GiB"),
        ("4gb", 4096, "4GiB"),
        ("1T", 1024**2, "1TiB"),
        ("4K", 1, "1MiB"),
        ("1500M", 1500, "1500MiB"),
        ("3000000K", 2930, "2930MiB"),
    ],
)
def test_memory(text: str, megabytes: int, written: str) -> None:
    assert read_megabytes(text) == megabytes
    assert write_megabytes(megabytes) == written


@pytest.mark.parametrize("text", ["4.5G", "4Gi", "x", "-4", "1P", "4B", "", "G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadValue):
        read_megabytes(text)


def test_minutes_as_the_job_file_writes_them() -> None:
    assert [write_minutes(each) for each in (1, 90, 60, 1440, 3600, 2880)] == [
        "1m",
        "90m",
        "1h",
        "1d",
        "60h",
        "2d",
    ]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("2", Nodes(2, exact=True)),
        ("2-4", Nodes(2, exact=False)),
        ("4-4", Nodes(4, exact=True)),
        ("1k", Nodes(1024, exact=True)),
        ("1,5,9", Nodes(1, exact=False)),
        ("2-8:2", Nodes(2, exact=False)),
    ],
)
def test_nodes(text: str, nodes: Nodes) -> None:
    assert read_nodes(text) == nodes


@pytest.mark.parametrize("text", ["0", "4-2", "x", "2-", "-2", "2 - 4", "", ","])
def test_what_is_no_number_of_nodes(text: str) -> None:
    with pytest.raises(BadValue):
        read_nodes(text)


@pytest.mark.parametrize("text", ["0", "-4", "4k", "1.5", "", "x", "1" * 12])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(BadValue):
        read_number(text)


@pytest.mark.parametrize(
    ("text", "cards", "others"),
    [
        ("gpu:4", Cards("gpu", "", 4), ()),
        ("gpu", Cards("gpu", "", 1), ()),
        ("gpu:a100", Cards("gpu", "a100", 1), ()),
        ("gpu:a100:4", Cards("gpu", "a100", 4), ()),
        ("GPU:A100:4", Cards("gpu", "A100", 4), ()),
        ("gpu:a100=4", Cards("gpu", "a100", 4), ()),
        ("gres:gpu:a100:4", Cards("gpu", "a100", 4), ()),
        ("gres/gpu:4", Cards("gpu", "", 4), ()),
        ("gpu:a100:4(S:0-1)", Cards("gpu", "a100", 4), ()),
        ("gpu:a100:4:S:0-1", Cards("gpu", "a100", 4), ()),
        ("gpu:nvidia_h100_80gb_hbm3:8", Cards("gpu", "nvidia-h100-80gb-hbm3", 8), ()),
        ("npu:910c:16", Cards("npu", "910c", 16), ()),
        ("gpu:2,nvme:1,lscratch:200", Cards("gpu", "", 2), ("nvme:1", "lscratch:200")),
        ("gpu:0", None, ()),
        ("none", None, ()),
        ("", None, ()),
    ],
)
def test_generic_resources(text: str, cards: Cards | None, others: tuple[str, ...]) -> None:
    assert read_gres(text) == (cards, others)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpu:a100:2,gpu:v100:1", "two kinds"),
        ("gpu:2,npu:2", "two kinds"),
        ("gpu:a100:x", "names no cards"),
        ("gpu::4", "names no cards"),
        ("shard:1", "share of a card"),
        ("mps:50", "share of a card"),
        ("gpu:a100_1g.10gb:1", "slice"),
        ("gpu:3g.20gb:2", "slice"),
    ],
)
def test_cards_that_cannot_be_asked_for(text: str, says: str) -> None:
    with pytest.raises(BadValue, match=says) as caught:
        read_gres(text)
    assert caught.value.hint


def test_cards_without_their_device() -> None:
    assert read_cards("4") == Cards("gpu", "", 4)
    assert read_cards("a100:4") == Cards("gpu", "a100", 4)
    with pytest.raises(BadValue, match="two kinds"):
        read_cards("a100:2,v100:1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("USR1", ("USR1", 60)),
        ("B:USR1@120", ("USR1", 120)),
        ("SIGTERM@30", ("TERM", 30)),
        ("10@60", ("10", 60)),
        ("RB:TERM@10", ("TERM", 10)),
    ],
)
def test_signals(text: str, expected: tuple[str, int]) -> None:
    assert read_signal(text) == expected


@pytest.mark.parametrize("text", ["USR1@99999", "", "@5", "USR1@", "X:USR1"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(BadValue):
        read_signal(text)
