"""Arrays on the command line: submitted, found, read and cancelled as one, or one by one."""

import json
from pathlib import Path
from typing import Any

import pytest

SWEEP = "name: sweep\nresources: {accelerators: H100:1}\nrun: echo $HUTONG_ARRAY_INDEX\narray: 0-4:2\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return str(path)


def made(house: Any, file: str, *words: str) -> dict[str, Any]:
    """Submit an array; return it."""
    done = house.run("run", file, "--detach", "--json", *words)
    assert (done.code, done.err) == (0, "")
    found: dict[str, Any] = json.loads(done.out)
    return found


def jobs(house: Any, *words: str) -> list[dict[str, Any]]:
    """List jobs."""
    found: list[dict[str, Any]] = json.loads(house.run("jobs", *words, "--json").out)
    return found


def test_the_file_or_the_command_line_says_which_indices(house: Any, file: str) -> None:
    array = made(house, file)
    assert (array["indices"], array["jobs"], array["states"]) == ("0-4:2", 3, {"ACCEPTED": 3})
    other = made(house, file, "--array", "7-9%2")
    assert (other["indices"], other["at_once"]) == ("7-9%2", 2)
    assert house.run("run", file, "--detach").out.strip() not in {array["id"], other["id"]}
    assert [job["array_index"] for job in jobs(house, "--array", array["id"].lower())] == [4, 2, 0]
    (one,) = jobs(house, "--array", other["id"], "--limit", "1")
    assert one["array_index"] == 9
    for command in ("check", "quote"):
        assert "that is of one job; the array has 3" in house.run(command, file).out


def test_one_job_is_named_by_its_index_and_the_array_by_its_id(house: Any, file: str) -> None:
    array = made(house, file)["id"]
    job = json.loads(house.run("job", f"{array}_2", "--json").out)
    assert (job["array"], job["array_index"]) == (array, 2)
    assert json.loads(house.run("job", f"{array.lower()[:20]}_2", "--json").out)["id"] == job["id"]
    assert json.loads(house.run("facts", f"{array}_2", "--json").out)["kind"] == "submitted"
    assert f"index 2 of array {array}" in house.run("job", f"{array}_2").out
    assert json.loads(house.run("job", array, "--json").out)["id"] == array
    shown = house.run("job", array[:20])
    assert shown.code == 0
    assert "sweep: 0 of 3 jobs are over (3 ACCEPTED)" in shown.out
    assert f"{array[:13]}_4" in house.run("jobs", "--array", "last").out
    assert json.loads(house.run("job", "last_0", "--json").out)["array"] == array


def test_an_array_where_a_job_is_meant_is_said_to_be_one(house: Any, file: str) -> None:
    array = made(house, file, "--array", "3,8")["id"]
    for command in ("logs", "receipt", "facts", "hold"):
        done = house.run(command, array)
        assert (done.code, done.out) == (2, "")
        assert f"{array}_3 names one of its 2 jobs" in done.err


def test_cancelling_the_array_cancels_all_of_it_and_one_job_only_that(house: Any, file: str) -> None:
    array = made(house, file)["id"]
    assert house.run("cancel", f"{array}_2", "--json").code == 0

    def asked() -> set[int]:
        found = jobs(house, "--array", array)
        return {job["array_index"] for job in found if job["conditions"]["cancel_asked_by"]}

    assert asked() == {2}
    done = house.run("cancel", array, "--reason", "typo")
    assert done.code == 0
    assert "asked to stop" in done.out
    assert asked() == {0, 2, 4}
    assert json.loads(house.run("cancel", array, "--json").out)["id"] == array


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("jobs", "--follow"), "--array"),
        (("jobs", "--array", "01JD0000000000000000000000"), "no array is"),
        (("jobs", "--array", "nothing"), "no array is"),
        (("job", "01JD0000000000000000000000_7"), "there is no array"),
        (("job", "last_77"), "has no index"),
        (("job", "abc_7"), "no array among"),
        (("cancel", "01JD0000000000000000000000"), "there is no job"),
    ],
)
def test_what_is_no_array_or_index_is_said(house: Any, file: str, words: tuple[str, ...], told: str) -> None:
    made(house, file)
    done = house.run(*words)
    assert done.code == 2
    assert told in done.err
    assert done.out == ""


def test_a_wrong_array_is_told_with_its_line_and_nothing_is_submitted(house: Any, file: str) -> None:
    before = jobs(house, "--limit", "1")
    Path(file).write_text(SWEEP.replace("0-4:2", "9-4"))
    done = house.run("run", file, "--detach")
    assert done.code == 2
    assert ":4" in done.err
    assert "the lesser index first" in done.err
    for wrong in ("0-1000", "5-1", ""):  # what the command line says stands in no line of the file
        done = house.run("run", file, "--detach", "--array", wrong)
        assert (done.code, done.out) == (2, "")
        assert "--array: " in done.err
        assert ":4" not in done.err
    assert jobs(house, "--limit", "1") == before
