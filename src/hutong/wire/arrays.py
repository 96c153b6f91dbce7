"""Arrays of jobs: JSON shapes."""

from typing import Annotated

from pydantic import Field

from hutong.wire.base import Shape, Slug, Time, Ulid
from hutong.wire.jobs import State


class JobArray(Shape):
    """Jobs that were submitted as one and differ in their index; `GET /v1/jobs?array=` lists them.

    `indices` is as in the job file. `states` counts the jobs in each state that has any, `left` those that
    are not over. At most `at_once` of them are in the queue or beyond at a time; 0 is no limit.
    """

    id: Ulid
    name: str
    project: Slug
    by: str
    indices: str
    at_once: int
    jobs: Annotated[int, Field(ge=1)]
    left: int
    states: dict[State, int]
    submitted: Time
