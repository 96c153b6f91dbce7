"""What most commands need: the options they share, a client, the project that pays, the job that is meant."""

import re
import time
from typing import Annotated

import typer

from hutong.clients.sdk.client import Client
from hutong.clients.sdk.profile import load_profile
from hutong.core.kernel.arrays import place_of
from hutong.core.kernel.errors import NotFound, Problem, Refused

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON lines on stdout, nothing else.")]
ProjectOption = Annotated[
    str, typer.Option("--project", "-p", help="The project; else the profile's, or your only one.")
]
JobArgument = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="Its id, the beginning of its id, or `last`; of an array ARRAY_INDEX, like 01K2ABCDEF_7.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")]

_WHOLE = re.compile(r"^[0-9A-HJKMNP-TV-Z]{26}$")
_LEAST = 6
_LOOK_BACK = 200
_MOST_DIGITS = 10


def now_ms() -> int:
    """Return the time in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def connect() -> Client:
    """Return a client for the user's profile."""
    return Client()


def project_of(client: Client, asked: str = "") -> str:
    """Return the project that was asked for, else the profile's, else the caller's only one."""
    if chosen := asked or load_profile().project:
        return chosen
    me = client.me()
    mine = [each.id for each in me.projects if each.active]
    if len(mine) == 1:
        return mine[0]
    raise Refused("no_project", "which project?", (which_project(mine, operator=me.operator),))


def which_project(mine: list[str], *, operator: bool) -> Problem:
    """Return what to do for somebody of whom it is not clear which project is meant."""
    how = "--project NAME, or HUTONG_PROJECT, or `project = ...` in the profile"
    if mine:
        return Problem("", f"yours are {', '.join(mine)}", how)
    if operator:
        how = "hutong institution create, hutong project create and hutong award make one, with its money"
        return Problem("", "you are in none yet", how)
    return Problem("", "you are in none yet: ask an operator for one", how)


def is_whole(text: str) -> bool:
    """True for what is a whole id."""
    return bool(_WHOLE.match(text))


def arrays_named(client: Client, text: str) -> list[str]:
    """Return the arrays among one's latest jobs whose id begins so; with `LAST`, that of the latest job."""
    if text == "LAST":
        latest = next(client.jobs.list(limit=1), None)
        return [latest.array] if latest and latest.array else []
    if len(text) < _LEAST:
        return []
    found = (job.array for job in client.jobs.list(limit=_LOOK_BACK) if job.array.startswith(text))
    return list(dict.fromkeys(found))


def _find_in_array(client: Client, text: str, index: int) -> str:
    arrays = [text] if is_whole(text) else arrays_named(client, text)
    if len(arrays) != 1:
        what = "no array" if not arrays else f"{len(arrays)} arrays"
        raise NotFound("no_job", f"{what} among your latest {_LOOK_BACK} jobs begins with {text}")
    found = next(client.jobs.list(array=arrays[0], index=index, limit=1), None)
    if found is None:
        raise NotFound("no_job", f"array {arrays[0]} has no index {index}")
    return found.id


def _refuse_array(client: Client, name: str) -> None:
    """Raise Refused where an array is named and one of its jobs is meant."""
    if place_of(name):
        return
    try:
        array = client.jobs.array(name)
    except NotFound:  # a job's id may end like an array's
        return
    index = array.indices.partition("-")[0].partition(",")[0].partition("%")[0]
    problem = Problem("", f"{name}_{index} names one of its {array.jobs} jobs by its index")
    raise Refused("bad_job", f"{name} is an array, and this is for one job", (problem,))


def find_job(client: Client, text: str) -> str:
    """Return the id of the job that is meant; raises NotFound or Refused if none or several are."""
    wanted = text.strip().upper()
    if is_whole(wanted):
        _refuse_array(client, wanted)
        return wanted
    array, _, index = wanted.rpartition("_")
    if array and index.isdecimal() and index.isascii():
        return _find_in_array(client, array, int(index[:_MOST_DIGITS]))
    if wanted == "LAST":
        latest = next(client.jobs.list(limit=1), None)
        if latest is None:
            raise NotFound("no_job", "there is no job yet")
        return latest.id
    if len(wanted) < _LEAST:
        problem = Problem("", f"{text!r} is too short", f"at least {_LEAST} characters of the id, or `last`")
        raise Refused("bad_job", "which job?", (problem,))
    found = [job.id for job in client.jobs.list(limit=_LOOK_BACK) if job.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        hint = (
            f"{text}_7 names one of them by its index" if arrays_named(client, wanted) else "give more of it"
        )
        problem = Problem("", f"{len(found)} jobs begin with {text}", hint)
        raise Refused("bad_job", f"{text} is not unique", (problem,))
    raise NotFound("no_job", f"no job among your latest {_LOOK_BACK} begins with {text}")
