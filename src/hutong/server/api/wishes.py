"""Jobs asked for: the document checked in full, so that what is written down can run."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import ValidationError

from hutong.adapters.objects.paths import content_path
from hutong.core.accounts.roles import Principal
from hutong.core.book.snapshot import JobRow
from hutong.core.book.store import NewJob, Record
from hutong.core.capacity.accelerators import ACCELERATORS, model_of
from hutong.core.kernel.arrays import array_of, job_at
from hutong.core.kernel.documents import encode
from hutong.core.kernel.errors import Broken, Conflict, NotFound, Problem, Refused
from hutong.core.kernel.ids import JobId, ProjectId
from hutong.core.work.alike import Kind, check_alike, kind_of, shared_of
from hutong.core.work.check import Catalogue, check_spec
from hutong.core.work.facts import Fact, Submitted
from hutong.core.work.fold import begin
from hutong.core.work.spec import Input, JobSpec
from hutong.server.api.access import require
from hutong.server.api.once import digest_of
from hutong.server.api.threads import in_thread
from hutong.server.pools import asks_prices, paid_by, refuse_impossible
from hutong.server.services import Services
from hutong.server.submissions import Written
from hutong.wire.agent import Manifest

CATALOGUE = Catalogue(model_of, tuple(ACCELERATORS))
_MANIFEST_MOST_BYTES = 16 << 20  # what a larger one holds is not looked up: nobody waits for that
_SIZE_MOST_BYTES = (1 << 53) - 1
_KINDS_MOST = 256
_SHARED_MOST_TEXT = 8192  # of what is longer nothing is remembered, so that nobody fills our memory


@dataclass(slots=True)
class References:
    """Looks up what specs refer to; of many wishes in one request each reference is asked once."""

    here: Services
    _secrets: dict[tuple[str, str], bool] = field(default_factory=dict)
    _sizes: dict[tuple[str, str], int] = field(default_factory=dict)

    def check(self, project: str, spec: JobSpec, root: str = "/spec") -> JobSpec:
        """Return the spec with the sizes of what it names by digest.

        Raises Refused that names each secret and object that is missing; `root` is the spec's place.
        """
        problems = [
            Problem(
                f"{root}/secrets/{name}",
                f"project {project} has no secret {name}",
                f"store it first: PUT /v1/projects/{project}/secrets/{name}",
            )
            for name in spec.secrets
            if not self._has_secret(project, name)
        ]
        bundled = sum(each.mount == "." for each in spec.inputs)  # the work folder comes first
        problems += [
            Problem(
                f"{root}/workdir" if each.mount == "." else f"{root}/inputs/{index - bundled}/digest",
                f"the platform does not hold {each.digest}",
                f"upload it first: PUT /v1/objects/{each.digest}",
            )
            for index, each in enumerate(spec.inputs)
            if each.digest and self._size_of(each) < 0
        ]
        if problems:
            raise Refused("unknown_reference", problems[0].message, tuple(problems))
        sized = (
            replace(each, size_bytes=self._size_of(each)) if each.digest else each for each in spec.inputs
        )
        return replace(spec, inputs=tuple(sized))

    def _has_secret(self, project: str, name: str) -> bool:
        known = self._secrets.get((project, name))
        if known is None:
            known = self.here.store.get("secret", f"{project}/{name}") is not None
            self._secrets[project, name] = known
        return known

    def _size_of(self, wanted: Input) -> int:
        """Return how many bytes lie behind an input's digest: 0 where that is not known, -1 for none here."""
        name = (wanted.digest, wanted.kind)
        if name not in self._sizes:
            self._sizes[name] = min(self._look_up(wanted), _SIZE_MOST_BYTES)
        return self._sizes[name]

    def _look_up(self, wanted: Input) -> int:
        path, objects = content_path(wanted.digest), self.here.objects
        try:
            size_bytes = objects.size(path)
            if wanted.kind != "manifest":
                return size_bytes
            if size_bytes > _MANIFEST_MOST_BYTES:
                return 0
            return sum(each.size_bytes for each in Manifest.model_validate_json(objects.get(path)).files)
        except NotFound:
            return -1
        except ValidationError:  # no manifest: the agent says so
            return 0


def read_spec(document: dict[str, Any], root: str = "/spec") -> JobSpec:
    """Return the checked spec of a job file's document; raises Refused that names every wrong field.

    The pointers of the problems begin with `root`, the document's place in the body.
    """
    return _read(document, root).spec


class _Read(NamedTuple):
    """A checked spec, its digest, and its kind where it was checked by that."""

    spec: JobSpec
    digest: str
    kind: Kind | None = None


def _read(document: dict[str, Any], root: str = "/spec") -> _Read:
    """Return what `read_spec` does with its digest; what jobs share is checked and written once."""
    kind = _kind_of(shared_of(document))
    alike = check_alike(document, kind) if kind is not None else None
    if alike is not None:
        return _Read(alike[0], _digest_of(alike[1]), kind)
    try:
        spec = check_spec(document, CATALOGUE)
    except Refused as refused:
        problems = tuple(Problem(f"{root}{each.path}", each.message, each.hint) for each in refused.problems)
        raise Refused(refused.code, refused.message, problems) from refused
    return _Read(spec, _digest_of(encode(spec)))


@dataclass(slots=True)
class _Slot:
    """What is known of jobs that share something: how often they came, and their kind from the second on."""

    came: int = 0
    kind: Kind | None = None


@lru_cache(maxsize=_KINDS_MOST)
def _slot_of(_shared: str) -> _Slot:
    return _Slot()


def _kind_of(shared: dict[str, object]) -> Kind | None:
    text = repr(shared)  # which tells 1 from true, at half the time of JSON
    if len(text) > _SHARED_MOST_TEXT:
        return None
    slot = _slot_of(text)
    before = slot.came
    slot.came = before + 1  # of two threads at once both may be the second: that does no harm
    if before == 1:
        with suppress(Refused):  # the check of the whole says why
            slot.kind = kind_of(shared, CATALOGUE)
    return slot.kind


def make_wish(
    here: Services,
    by: str,
    project: str,
    spec: JobSpec,
    *,
    key: str = "",
    request: object = None,
    digest: str = "",
) -> NewJob:
    """Return the wish to be written down; `request` is what the idempotency key stands for.

    `digest` is that of the spec, where it is known.
    """
    return _wish(JobId(here.new_id()), by, project, spec, digest or _digest_of(encode(spec)), key, request)


def _digest_of(document: bytes) -> str:
    return f"sha256:{sha256(document).hexdigest()}"


def _wish(job: JobId, by: str, project: str, spec: JobSpec, digest: str, key: str, request: object) -> NewJob:
    return NewJob(
        id=job,
        project=ProjectId(project),
        spec=spec,
        by=by,
        spec_digest=digest,
        idempotency_key=key,
        request_digest=digest_of(request) if key else "",
    )


class Batch:
    """Makes the wishes of one request. Of documents that are alike, the first is checked for all of them."""

    def __init__(self, here: Services, principal: Principal) -> None:
        self._here = here
        self._principal = principal
        self._pools = here.pools.load(here.clock())
        self._references = References(here)
        self._checked: dict[tuple[str, str], tuple[JobSpec, str]] = {}
        self._possible: set[tuple[str, Kind]] = set()  # by project: what it asks of pools is a kind's

    def wish(self, project: str, document: dict[str, Any], root: str, key: str, request: object) -> NewJob:
        """Return the wish to be written down; raises what `submit_one` raises, with pointers below `root`."""
        name = (project, repr(document))  # which tells 1 from true, at half the time of JSON
        known = self._checked.get(name)
        if known is None:
            known = self._check(project, document, root)
            _refuse_array(known[0], root)
            self._checked[name] = known
        return _wish(JobId(self._here.new_id()), self._principal.id, project, *known, key, request)

    def array(self, project: str, document: dict[str, Any], key: str, request: object) -> list[NewJob]:
        """Return the wishes of an array's jobs, checked once; raises what `wish` raises, or for no array."""
        spec, digest = self._check(project, document, "/spec")
        if spec.array is None:
            text = "does not say which jobs there are"
            raise Refused("bad_spec", f"/array: {text}", (Problem("/spec/array", text, "array: 0-99"),))
        name, by = array_of(self._here.new_id()), self._principal.id
        return [
            _wish(
                job_at(name, at), by, project, spec, digest, f"{key}/array/{at}" if key else "", [request, at]
            )
            for at in range(1, spec.array.count + 1)
        ]

    def _check(self, project: str, document: dict[str, Any], root: str) -> tuple[JobSpec, str]:
        require(self._principal, "job.submit", project, f"project {project!r}")
        spec, digest, kind = _read(document, root)
        if kind is None or (project, kind) not in self._possible:
            dear = asks_prices(spec, self._pools)
            paid = paid_by(self._here.store, self._pools, project, self._here.clock()) if dear else ()
            refuse_impossible(spec, self._pools, root, paid)
        if kind is not None:
            self._possible.add((project, kind))
        if not (spec.secrets or spec.inputs):
            return spec, digest
        spec = self._references.check(project, spec, root)
        return spec, _digest_of(encode(spec))


def _refuse_array(spec: JobSpec, root: str = "/spec") -> None:
    if spec.array is not None:
        text = "this makes one job, and an array is several"
        hint = "POST /v1/arrays, or leave it out"
        raise Refused("bad_spec", f"/array: {text}", (Problem(f"{root}/array", text, hint),))


def store_all(
    here: Services, wishes: Sequence[NewJob], memo_id: str = "", digest: str = ""
) -> tuple[JobId, ...]:
    """Write several wishes down together and return their jobs; raises Conflict for a key of other ones."""
    if memo_id:
        _reserve(here, memo_id, digest)
    answers = here.store.submit(wishes, here.clock())
    if any(answer.conflict for answer in answers):
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    here.meters.submitted(sum(not answer.repeated for answer in answers))
    here.bell.ring()
    return tuple(answer.job for answer in answers)


def _reserve(here: Services, memo_id: str, digest: str) -> None:
    """Bind an idempotency key to one request for several jobs before any of them is written."""
    try:
        here.store.put(Record("request", memo_id, {"digest": digest}), expect=0)
    except Conflict:
        memo = here.store.get("request", memo_id)
        if memo is None or memo.doc["digest"] != digest:
            raise Conflict(
                "idempotency_conflict", "this Idempotency-Key was used for another request"
            ) from None


async def submit_one(
    here: Services, principal: Principal, project: str, document: dict[str, Any], key: str
) -> JobRow:
    """Check a wish, write it down with others that come at the same time, and return the job."""
    require(principal, "job.submit", project, f"project {project!r}")
    spec, digest, _ = _read(document)
    _refuse_array(spec)
    now_ms = here.clock()
    pools = here.pools.recall(now_ms)
    if pools is None:
        pools = await in_thread(here.pools.load, now_ms)
    dear = asks_prices(spec, pools)
    paid = await in_thread(paid_by, here.store, pools, project, now_ms) if dear else ()
    refuse_impossible(spec, pools, paid=paid)
    if spec.secrets or spec.inputs:
        spec, digest = await in_thread(References(here).check, project, spec), ""
    wish = make_wish(here, principal.id, project, spec, key=key, request=[project, document], digest=digest)
    written = await _written(here, wish)
    if written.submission.repeated:
        return await in_thread(_first_of, here, written)
    return _fresh(here, wish, written)


async def _written(here: Services, wish: NewJob) -> Written:
    return await asyncio.wrap_future(here.submissions.add(wish))


def submit_here(here: Services, wish: NewJob) -> JobRow:
    """Write a checked wish down from a thread, and return the job; for jobs that other things need."""
    written = here.submissions.add(wish).result()
    return _first_of(here, written) if written.submission.repeated else _fresh(here, wish, written)


def _fresh(here: Services, wish: NewJob, written: Written) -> JobRow:
    if written.submission.conflict:
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    here.meters.submitted(1)
    here.bell.ring()
    first = Fact(wish.id, 1, written.at_ms, "api", Submitted(wish.by, wish.spec_digest))
    return JobRow(begin(first), wish.spec, wish.project)


def _first_of(here: Services, written: Written) -> JobRow:
    if written.submission.conflict:
        raise Conflict("idempotency_conflict", "this Idempotency-Key was used for another request")
    row = here.store.job(written.submission.job)
    if row is None:
        raise Broken(f"job {written.submission.job} was written and is not there")
    return row
