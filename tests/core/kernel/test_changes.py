"""A changed shape equals what `dataclasses.replace` makes, and the one before stays as it was."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from hutong.core.kernel.changes import changed
from hutong.core.kernel.ids import JobId
from hutong.core.work.fold import Attempt, Job
from hutong.core.work.states import JobState

ATTEMPT = Attempt(1, "bj", "main", "H100", 1, 8, 10, 1200, 700, 5)
JOB = Job(JobId("x"), 1, JobState.ACCEPTED, 1, 1, "ada")


@pytest.mark.parametrize("value", [ATTEMPT, JOB], ids=["attempt", "job"])
def test_a_change_of_any_field_is_what_replace_makes(value: Attempt | Job) -> None:
    before = repr(value)
    for field in fields(value):
        made = changed(value, **{field.name: "other"})
        assert made == replace(value, **{field.name: "other"})
        assert hash(made) == hash(replace(value, **{field.name: "other"}))
    assert repr(value) == before


def test_a_changed_shape_is_as_frozen_as_the_first_one() -> None:
    made = changed(JOB, seq=2)
    with pytest.raises(FrozenInstanceError):
        made.seq = 3  # type: ignore[misc]


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(AttributeError):
        changed(JOB, sequence=2)  # type: ignore[call-arg]
