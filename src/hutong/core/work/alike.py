"""Jobs that are alike: what they share is checked and written once, what each has for itself alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial

from hutong.core.kernel.documents import encode_around, encode_document
from hutong.core.work.check import OWN, Catalogue, check_own, check_spec
from hutong.core.work.spec import JobSpec


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A checked job, a maker of others like it, and its canonical document in pieces around their `OWN`."""

    spec: JobSpec
    make: Callable[..., JobSpec]
    pieces: tuple[bytes, ...]


def shared_of(document: Mapping[str, object]) -> dict[str, object]:
    """Return what a job file's document may share with those of other jobs."""
    return {key: value for key, value in document.items() if key not in OWN}


def kind_of(shared: Mapping[str, object], known: Catalogue) -> Kind:
    """Return the kind of jobs that share this; raises Refused as `check_spec` does."""
    spec = check_spec({**shared, "run": "true"}, known)
    others = {each.name: getattr(spec, each.name) for each in fields(spec) if each.name not in OWN}
    return Kind(spec, partial(JobSpec, **others), encode_around(spec, OWN))


def check_alike(document: Mapping[str, object], kind: Kind) -> tuple[JobSpec, bytes] | None:
    """Return the spec of a document of that kind, and its canonical document as `encode` makes it.

    None where something is wrong: `check_spec` says what.
    """
    own = check_own(document, kind.spec)
    if own is None:
        return None
    first, second, third, last = kind.pieces
    envs, name, run = encode_document(own.envs), encode_document(own.name), encode_document(own.run)
    written = b"".join((first, envs, second, name, third, run, last))
    return kind.make(envs=own.envs, name=own.name, run=own.run), written
