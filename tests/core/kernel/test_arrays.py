"""The grammar of arrays, and ids that say whose job one is."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.core.kernel.arrays import (
    MOST_INDEX,
    MOST_JOBS,
    Array,
    array_of,
    job_at,
    names_of,
    place_of,
    read_array,
)
from hutong.core.kernel.errors import Refused
from hutong.core.kernel.ids import ulid

INDICES = st.frozensets(st.integers(0, 300) | st.integers(0, MOST_INDEX), min_size=1, max_size=60)


def listed(array: Array) -> list[int]:
    return [array.index(place) for place in range(1, array.count + 1)]


@pytest.mark.parametrize(
    ("text", "indices", "written"),
    [
        ("0-3", [0, 1, 2, 3], "0-3"),
        ("1,3,5", [1, 3, 5], "1-5:2"),
        ("0-15:4", [0, 4, 8, 12], "0-12:4"),
        ("7", [7], "7"),
        ("4-4", [4], "4"),
        ("10-12, 1-2", [1, 2, 10, 11, 12], "1-2,10-12"),
        ("1,5", [1, 5], "1,5"),
        ("[2-4,3-5]", [2, 3, 4, 5], "2-5"),
        ("3,3,3", [3], "3"),
        ("0-3%2", [0, 1, 2, 3], "0-3%2"),
        ("0-3%4", [0, 1, 2, 3], "0-3"),
        (f"{MOST_INDEX}", [MOST_INDEX], f"{MOST_INDEX}"),
    ],
)
def test_indices_are_read_as_slurm_reads_them(text: str, indices: list[int], written: str) -> None:
    array = read_array(text)
    assert listed(array) == indices
    assert str(array) == written
    assert (array.least, array.greatest, array.count) == (indices[0], indices[-1], len(indices))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3,5-1", "'5-1' ends before it begins"),
        ("1-10:0", "'1-10:0' has a step of 0"),
        ("9" * 14, f"{'9' * 14} is too great an index"),
        ("0-", "'0-' is no list of indices"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(text: str, told: str) -> None:
    with pytest.raises(Refused, match=re.escape(told)):
        read_array(text)


@pytest.mark.parametrize(("text", "step"), [("0-8:2", "2"), ("0-3", "1"), ("7", "1"), ("0-4:2,9", "1")])
def test_slurm_s_step_is_told_where_there_is_one(text: str, step: str) -> None:
    job = job_at(array_of(ulid(0, bytes(10))), 1)
    assert names_of(read_array(text), job)["SLURM_ARRAY_TASK_STEP"] == step


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "5-1", "1-", "-1", "0-5:0", "1,,2", "0-5%", "0-5%0", "0-5%x", "0-5%2%3", "１-３", "0x1"),
        *(f"0-{MOST_JOBS}", f"0-{MOST_JOBS - 1},5000", f"{MOST_INDEX + 1}", "0-999999999", "9" * 12_000),
    ],
)
def test_what_is_no_array_or_too_many_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(Refused) as told:
        read_array(text)
    assert told.value.code == "bad_array"
    assert told.value.problems[0].hint
    assert len(told.value.message) < 200


@settings(max_examples=60)
@given(INDICES, st.integers(0, 70))
def test_any_set_of_indices_survives_being_written_and_read(indices: frozenset[int], limit: int) -> None:
    array = read_array(",".join(map(str, indices)) + (f"%{limit}" if limit else ""))
    assert listed(array) == sorted(indices)
    assert array.at_once == (limit if limit < len(indices) else 0)
    assert read_array(str(array)) == array
    assert [array.place(index) for index in sorted(indices)] == list(range(1, len(indices) + 1))
    assert all(array.place(index) is None for index in range(301) if index not in indices)
    for place in (0, array.count + 1):
        with pytest.raises(IndexError):
            array.index(place)


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10), st.integers(1, MOST_JOBS))
def test_a_job_s_id_says_its_array_and_its_place_and_sorts_by_it(at_ms: int, entropy: bytes, n: int) -> None:
    name = array_of(ulid(at_ms, entropy))
    job = job_at(name, n)
    assert (array_of(job), place_of(job), place_of(name)) == (name, n, 0)
    assert job != name
    assert name < job < job_at(name, n + 1)
    told = names_of(read_array("10-1009"), job)
    assert told["SLURM_ARRAY_TASK_ID"] == told["HUTONG_ARRAY_INDEX"] == str(9 + n)
    assert told["HUTONG_ARRAY_ID"] == name
    assert 0 <= int(told["SLURM_ARRAY_JOB_ID"]) < 1 << 30
