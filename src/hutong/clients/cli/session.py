"""What most commands need: the options they share, a client, the project that pays, the job that is meant."""

import re
import time
from typing import Annotated

import typer

from hutong.clients.sdk.client import Client
from hutong.clients.sdk.profile import load_profile
from hutong.core.kernel.errors import NotFound, Problem, Refused

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON lines on stdout, nothing else.")]
ProjectOption = Annotated[
    str, typer.Option("--project", "-p", help="The project; else the profile's, or your only one.")
]
JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="Its id, the beginning of its id, or `last`.", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")]

_WHOLE = re.compile(r"^[0-9A-HJKMNP-TV-Z]{26}$")
_LEAST = 6
_LOOK_BACK = 200


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
    mine = [each.id for each in client.me().projects if each.active]
    if len(mine) == 1:
        return mine[0]
    what = f"yours are {', '.join(mine)}" if mine else "you are in none yet: ask an operator for one"
    problem = Problem("", what, "--project NAME, or HUTONG_PROJECT, or `project = ...` in the profile")
    raise Refused("no_project", "which project?", (problem,))


def find_job(client: Client, text: str) -> str:
    """Return the id of the job that is meant; raises NotFound or Refused if none or several are."""
    wanted = text.strip().upper()
    if _WHOLE.match(wanted):
        return wanted
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
        problem = Problem("", f"{len(found)} jobs begin with {text}", "give more of the id")
        raise Refused("bad_job", f"{text} is not unique", (problem,))
    raise NotFound("no_job", f"no job among your latest {_LOOK_BACK} begins with {text}")
