"""Arrays of jobs for people: which one is meant, how far it is, and waiting for its end."""

import time
from collections.abc import Iterator

from hutong.clients.cli.session import arrays_named, is_whole
from hutong.clients.cli.terminal import console, say, show_json
from hutong.clients.sdk.client import Client
from hutong.core.kernel.arrays import place_of, read_array
from hutong.core.kernel.errors import NotFound
from hutong.wire.arrays import JobArray

LOOK_EVERY_S = 2.0


def find_array(client: Client, text: str) -> str:
    """Return the id of the array that is meant; empty if a job is, or nothing."""
    wanted = text.strip().upper()
    if not is_whole(wanted):
        found = arrays_named(client, wanted)
        return found[0] if len(found) == 1 else ""
    if place_of(wanted):
        return ""
    try:
        return client.jobs.array(wanted).id
    except NotFound:  # a job's id may end like an array's
        return ""


def count_of(document: dict[str, object]) -> int:
    """Return how many jobs a document asks for that has passed its check."""
    return read_array(str(document["array"])).count if document.get("array") is not None else 1


def summary(array: JobArray) -> str:
    """Return how far an array is, in a line."""
    states = ", ".join(f"{jobs} {state}" for state, jobs in sorted(array.states.items()))
    return f"{array.name}: {array.jobs - array.left} of {array.jobs} jobs are over ({states})"


def show_array(array: JobArray) -> None:
    """Print an array."""
    limit = f", at most {array.at_once} at work at once" if array.at_once else ""
    say(f"array {array.id}: indices {array.indices.partition('%')[0]}{limit}; project {array.project}")
    say(summary(array))
    say(f"`hutong jobs --array {array.id}` lists its jobs, `hutong job {array.id}_INDEX` shows one")


def succeeded(array: JobArray) -> bool:
    """True if all of its jobs have ended well."""
    return array.states.get("SUCCEEDED", 0) == array.jobs


def follow_array(client: Client, array: str, *, as_json: bool) -> JobArray:
    """Show how far an array is until all of its jobs are over; return it then."""
    if as_json:
        for now in _changes(client, array):
            show_json({"array": now.model_dump(mode="json")})
        return now
    with console().status("") as status:
        for now in _changes(client, array):
            status.update(summary(now))
    say(summary(now))
    return now


def _changes(client: Client, array: str) -> Iterator[JobArray]:
    """Yield an array as it is now, and again after each change, until it is over."""
    before = None
    while before is None or before.left:
        if before is not None:
            time.sleep(LOOK_EVERY_S)
        now = client.jobs.array(array)
        if now != before:
            yield now
        before = now
