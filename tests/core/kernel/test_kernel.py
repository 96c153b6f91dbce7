"""The shared vocabulary: money, quantities, ids and canonical documents."""

from dataclasses import dataclass
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.core.kernel.documents import decode, encode
from hutong.core.kernel.errors import Broken, Refused
from hutong.core.kernel.ids import JobId, attempt_key, split_key, ulid
from hutong.core.kernel.money import format_micro, largest_remainder, parse_micro
from hutong.core.kernel.quantities import HOUR_MS, hour_slices, parse_bytes, parse_seconds

MONEY = st.integers(-(10**15), 10**15)


@given(MONEY)
def test_money_survives_the_wire(amount: int) -> None:
    assert parse_micro(format_micro(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(5_000, "0.00"), (15_000, "0.02"), (25_000, "0.02"), (-15_000, "-0.02"), (-4_000, "0.00")],
)
def test_money_is_rounded_half_to_even_and_knows_no_negative_zero(amount: int, shown: str) -> None:
    assert format_micro(amount, 2) == shown


@pytest.mark.parametrize("text", ["", "-", "1e3", "1.2345678", "١٢", "1,000", ".5", "NaN", "1" * 16])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_micro(text)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_a_split_loses_nothing_and_is_fair(total: int, weights: list[int]) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        exact = total * weight // sum(weights)
        assert exact <= part <= exact + 1


@pytest.mark.parametrize(
    ("text", "size"),
    [("80GB", 80 * 10**9), ("1GiB", 2**30), ("512", 512), ("1.5 TB", 15 * 10**11), ("4k", 4000)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["-1GB", "1.2345GB", "GB", "1XB", ""])
def test_what_is_not_a_size_is_none(text: str) -> None:
    assert parse_bytes(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("10m", 600), ("12h", 43_200), ("2d", 172_800), ("5ms", None)]
)
def test_times_are_read_as_people_write_them(text: str, seconds: int | None) -> None:
    assert parse_seconds(text) == seconds


@given(st.integers(0, 10**13), st.integers(0, 10**9))
def test_hour_slices_cover_the_span_and_stay_in_their_hours(start: int, length: int) -> None:
    slices = hour_slices(start, start + length)
    assert sum(part for _, part in slices) == length
    assert all(hour % HOUR_MS == 0 and 0 < part <= HOUR_MS for hour, part in slices)


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10), st.integers(1, 999_999))
def test_an_attempt_key_names_its_job_and_number(at_ms: int, entropy: bytes, number: int) -> None:
    job = JobId(ulid(at_ms, entropy))
    key = attempt_key(job, number)
    assert split_key(key) == (job, number)
    assert len(key) <= 63  # a label of Kubernetes and a name of Slurm


@given(st.integers(0, 2**47), st.integers(1, 10**6), st.binary(min_size=10, max_size=10))
def test_ulids_sort_by_time(at_ms: int, later: int, entropy: bytes) -> None:
    assert ulid(at_ms, b"\xff" * 10) < ulid(at_ms + later, entropy)


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_a_ulid_is_its_time_and_entropy_in_base_32(at_ms: int, entropy: bytes) -> None:
    value = 0
    for letter in ulid(at_ms, entropy):
        value = 32 * value + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    assert value == (at_ms << 80) | int.from_bytes(entropy, "big")


def test_the_example_of_the_ulid_specification() -> None:
    assert ulid(1_469_918_176_385, b"\0" * 10).startswith("01ARYZ6S41")


@pytest.mark.parametrize("key", ["", "ht-x-a1", "ht-" + "0" * 26 + "-a0", "HT-" + "0" * 26 + "-a1"])
def test_what_is_not_our_key_is_none(key: str) -> None:
    assert split_key(key) is None


class Color(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Inner:
    color: Color
    pair: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Outer:
    name: str
    inner: tuple[Inner, ...]
    maybe: Inner | None


@given(st.text(), st.integers())
def test_documents_are_canonical_and_come_back(name: str, number: int) -> None:
    value = Outer(name, (Inner(Color.RED, ("a", number)),), None)
    data = encode(value)
    assert decode(Outer, data) == value
    assert encode(decode(Outer, data)) == data


def test_a_document_of_another_shape_is_not_guessed_at() -> None:
    with pytest.raises(Broken):
        decode(Outer, b'{"name": 3, "inner": [], "maybe": null}')
    with pytest.raises(Broken):
        decode(Outer, b'{"name": "x"}')
