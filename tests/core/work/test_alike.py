"""Checking what jobs share once changes neither what is accepted, nor what is written, nor any digest."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.work.test_check import ANY, KNOWN, RIGHT, WORDS

from hutong.core.kernel.documents import encode, encode_around, encode_document, to_document
from hutong.core.kernel.errors import Broken, Refused
from hutong.core.work.alike import check_alike, kind_of, shared_of
from hutong.core.work.check import OWN, check_spec
from hutong.core.work.spec import JobSpec

SOUND: dict[str, object] = {"run": "true", "resources": {"accelerators": "H100:8"}}


def by_kind(document: dict[str, object], of: dict[str, object] | None = None) -> tuple[JobSpec, bytes] | None:
    """Check by the kind of another document, or of this one."""
    try:
        kind = kind_of(shared_of(document if of is None else of), KNOWN)
    except Refused:
        return None
    return check_alike(document, kind)


def whole(document: dict[str, object]) -> tuple[JobSpec, bytes] | None:
    """Check as ever, and write down as it always was: with the JSON of the standard library."""
    try:
        spec = check_spec(document, KNOWN)
    except Refused:
        return None
    text = json.dumps(to_document(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return spec, text.encode()


@given(RIGHT, RIGHT)
@settings(max_examples=25, deadline=None)
def test_right_jobs_of_one_kind_are_checked_and_written_as_each_alone(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert by_kind(one) == whole(one)
    like = {**shared_of(one), **{key: other[key] for key in OWN if key in other}}
    assert by_kind(like, one) == whole(like)


@given(st.dictionaries(st.sampled_from([*OWN, *WORDS]), ANY, max_size=6), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_wrong_is_never_accepted_by_its_kind(document: dict[str, object], sound: bool) -> None:
    if sound:  # else nearly nothing of it is right
        document = {**SOUND, **{key: document[key] for key in OWN if key in document}}
    assert by_kind(document) == whole(document)


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"envs": {"TOKEN": "x"}}, id="a secret among the variables"),
        pytest.param({"envs": {"SLURM_ARRAY_TASK_ID": "1"}}, id="the platform's name in an array"),
        pytest.param({"envs": {"RANK": "1"}}, id="a reserved name"),
        pytest.param({"envs": ["A=1"]}, id="a list"),
        pytest.param({"name": "-"}, id="no name"),
        pytest.param({"name": 7}, id="a number for a name"),
        pytest.param({"run": " "}, id="nothing to run"),
        pytest.param({"run": "\ud800"}, id="no text"),
        pytest.param({"run": None}, id="nothing"),
    ],
)
def test_what_a_job_has_for_itself_is_checked_with_what_it_shares(own: dict[str, object]) -> None:
    document = {**SOUND, "secrets": ["TOKEN"], "array": "0-3", **own}
    assert whole(document) is None
    assert by_kind(document) is None
    assert by_kind({**document, "envs": {"E": "1"}, "name": "n", "run": "x"}) is not None


@given(st.text(max_size=30), st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3))
@settings(max_examples=60, deadline=None)
def test_the_pieces_are_the_document_whatever_stands_between(run: str, envs: list[tuple[str, str]]) -> None:
    spec = replace(check_spec(SOUND, KNOWN), run=run, envs=tuple(envs))
    late = {"array", "preemptible"}
    for apart in ({"envs", "run"}, {each.name for each in fields(spec)} - late, set()):
        pieces = encode_around(spec, apart)
        values = [encode_document(to_document(getattr(spec, name))) for name in sorted(apart)]
        between = (value + piece for value, piece in zip(values, pieces[1:], strict=True))
        assert b"".join((pieces[0], *between)) == encode(spec)


def test_only_a_dataclass_comes_in_pieces() -> None:
    with pytest.raises(Broken):
        encode_around(["a"], ())
