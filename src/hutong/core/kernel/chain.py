"""A chain of events, each sealed with a hash over itself and the hash before it: no change stays hidden.

An event is a JSON object with `seq`, `prev` and `hash`; `hash` is the SHA-256, in hex, of the canonical JSON
(keys sorted, no spaces, UTF-8) of all the rest. The first has `seq` 1 and a `prev` of 64 zeros.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from hutong.core.kernel.errors import Problem, Refused

GENESIS = "0" * 64
FAULTS_MAX = 100


@dataclass(frozen=True, slots=True)
class Head:
    """A place in a chain: the event of this number had this hash."""

    seq: int
    hash: str

    @property
    def text(self) -> str:
        """How it is noted elsewhere: `SEQ:HASH`."""
        return f"{self.seq}:{self.hash}"


START = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class ChainFault:
    """What is wrong, and at which event."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What a check found: no faults means that nothing was changed, removed, moved or put in."""

    events: int
    head: Head
    faults: tuple[ChainFault, ...] = ()


def canonical(document: object) -> bytes:
    """Return the one way to write a JSON document."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def seal(event: Mapping[str, object]) -> str:
    """Return the hash of an event, whatever it says of its own."""
    return sha256(canonical({name: value for name, value in event.items() if name != "hash"})).hexdigest()


def parse_head(text: str, path: str = "") -> Head:
    """Return the head that was noted as `SEQ:HASH`; raises Refused.

    >>> parse_head("7:" + "a" * 64).seq
    7
    """
    seq, _, digest = text.strip().partition(":")
    good = seq.isascii() and seq.isdecimal() and len(seq) < 16
    if not good or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        problem = Problem(path, f"{text[:100]!r} is not a head of the audit", "SEQ:HASH as verify prints it")
        raise Refused("bad_head", problem.message, (problem,))
    return Head(int(seq), digest)


def parse_line(line: bytes) -> Mapping[str, object] | None:
    """Return the event of a line of an export, None if it is not one as we write them, to the byte."""
    try:
        event = json.loads(line)
        whole = isinstance(event, dict) and canonical(event) == line.rstrip(b"\r\n")
    except (ValueError, RecursionError):
        return None
    return event if whole else None


def verify(
    events: Iterable[Mapping[str, object] | None], *, since: Head = START, noted: Head | None = None
) -> ChainCheck:
    """Check a chain that goes on after `since`, in constant memory; None is an event that cannot be read.

    `noted` is a head that was written down before: a chain that ends earlier, or had another event there,
    was cut off or replaced. At most a hundred faults are named; after each, the check goes on.
    """
    last, count = since, 0
    faults: list[ChainFault] = []
    for event in events:
        count += 1
        found, last = _step(event, last)
        if noted is not None and last.seq == noted.seq and last.hash != noted.hash:
            found.append(ChainFault(last.seq, f"event {last.seq} is not the one that was noted"))
        faults += found[: FAULTS_MAX - len(faults)]
    if noted is not None and last.seq < noted.seq:
        faults.append(ChainFault(last.seq, f"the chain ends at {last.seq}; it went on to {noted.seq}"))
    return ChainCheck(count, last, tuple(faults))


def _step(event: Mapping[str, object] | None, last: Head) -> tuple[list[ChainFault], Head]:
    wanted = last.seq + 1
    if event is None:
        return [ChainFault(wanted, f"event {wanted} cannot be read: it was changed")], last
    seq, digest = event.get("seq"), event.get("hash")
    if not isinstance(seq, int) or isinstance(seq, bool) or not isinstance(digest, str):
        return [ChainFault(wanted, f"what stands where event {wanted} should is no event")], last
    if seal(event) != digest:  # its own number may be what was changed: go by its place
        return [ChainFault(wanted, f"event {wanted} was changed")], Head(wanted, digest)
    faults = []
    if seq > wanted:
        gone = f"event {wanted} is" if seq == wanted + 1 else f"events {wanted} to {seq - 1} are"
        faults.append(ChainFault(wanted, f"{gone} missing before {seq}"))
    elif seq < wanted:
        faults.append(ChainFault(seq, f"event {seq} stands after {last.seq}: moved, or put in"))
    elif event.get("prev") != last.hash:
        faults.append(ChainFault(seq, f"event {seq} does not follow on {last.seq}: one of them was replaced"))
    return faults, Head(seq, digest)
