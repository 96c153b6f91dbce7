"""The agents' door: commands out, reports, logs and kept files in. A token opens it for its own site only.

Any agent may read any object by its digest: the digest, 256 bits long, is in the start command of those
who need it, and what a site is to run is decided by the platform.
"""

from dataclasses import replace
from importlib.metadata import version
from typing import Annotated

import anyio
import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from hutong.adapters.engines.base import Use
from hutong.adapters.objects.paths import content_path
from hutong.core.book.received import Fate, Tally
from hutong.core.book.store import Sighting, Taken
from hutong.core.capacity.sites import Move, Site, Transfer
from hutong.core.kernel.arrays import names_of
from hutong.core.kernel.errors import Broken, Later, NotFound, Problem, Refused
from hutong.core.kernel.ids import AttemptKey, SiteId, split_key
from hutong.core.work.spec import JobSpec
from hutong.server.api.access import Here, OfSite
from hutong.server.api.objects import StoredObject, receive_content, send_content
from hutong.server.api.secrets import open_secrets
from hutong.server.logs import SETUP_RANK, log_folder
from hutong.server.metering import limits_of, take_in
from hutong.server.registry import read
from hutong.server.services import Services
from hutong.wire import agent as w
from hutong.wire.base import Digest
from hutong.wire.usage import UsageIn, UsageOut, UseDoc

_log = structlog.get_logger(__name__)

WAIT_AT_MOST_S = 25.0
_PAUSE_S = 0.01
_BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/v1/agent", tags=["agent"])

Mine = Annotated[SiteId, Depends(OfSite())]
DigestName = Annotated[Digest, Path(alias="digest")]
KeyName = Annotated[str, Path(alias="key", pattern=r"^ht-[0-9a-hjkmnp-tv-z]{26}-a[1-9][0-9]{0,5}$")]
Rank = Annotated[int, Path(ge=SETUP_RANK, lt=1_000_000)]


@router.get("/site")
def get_own_site(here: Here, site: Mine) -> w.SiteOut:
    """Return the caller's own site as it is declared here. Unlike `take`, it does not count as a call."""
    record = here.store.get("site", site)
    if record is None:
        raise NotFound("not_found", f"there is no site {site!r}")
    declared = read(Site, record)
    return w.SiteOut(
        site=declared.id,
        engine=declared.engine,
        declared_only=declared.declared_only,
        admission=declared.admission.value,
        pools=tuple(
            w.PoolDoc(
                id=pool.id,
                accelerator=pool.accelerator,
                nodes=pool.nodes,
                cards_per_node=pool.cards_per_node,
            )
            for pool in declared.pools
        ),
        now_ms=here.clock(),
        version=version("hutong"),
    )


@router.post("/take")
async def take_commands(here: Here, site: Mine, body: w.TakeIn) -> w.TakeOut:
    """Return open commands above `after`, whose logs are read, and new calls; wait for any of them."""
    deadline = anyio.current_time() + min(body.wait_s, WAIT_AT_MOST_S)
    told = body.watched
    while True:
        again_at = anyio.current_time() + _PAUSE_S  # what is written about then is one answer
        seen = here.bell.mark(site)
        out = await run_in_threadpool(_take, here, site, body)
        left_s = deadline - anyio.current_time()
        news = told is not None and out.watched != told
        if out.commands or out.dials or news or left_s <= 0:
            return out
        told = out.watched
        await here.bell.changed(seen, left_s, site)
        await anyio.sleep(max(0.0, again_at - anyio.current_time()))


def _take(here: Services, site: SiteId, body: w.TakeIn) -> w.TakeOut:
    now_ms = here.clock()
    taken = here.store.take(site, body.after, body.limit, now_ms)
    return w.TakeOut(
        commands=tuple(command for each in taken if (command := _command(here, each)) is not None),
        watched=here.store.watched(site, now_ms),
        dials=() if body.dialed is None else _new_dials(here, site, body.dialed, now_ms),
        now_ms=now_ms,
        takes_logs=True,
    )


def _new_dials(here: Services, site: SiteId, heard: tuple[str, ...], now_ms: int) -> tuple[w.DialDoc, ...]:
    return tuple(
        w.DialDoc(id=each.id, key=each.key, rank=each.rank, port=each.port, url=each.url)
        for each in here.store.dials(site, now_ms)
        if each.id not in heard
    )


def _command(here: Services, taken: Taken) -> w.CommandDoc | None:
    """Return a command as it is sent; None for a start whose secrets do not open: the others go on.

    That attempt is then not known at its site, is stopped there in time, and is tried again.
    """
    try:
        secrets = open_secrets(here, taken.project, taken.spec.secrets) if taken.spec else {}
    except Broken as error:
        _log.error("secrets_do_not_open", key=taken.key, project=taken.project, detail=str(error))
        return None
    return w.CommandDoc.model_validate(
        {
            "id": taken.id,
            "key": taken.key,
            "kind": taken.kind,
            "project": taken.project,
            "job": taken.job.id,
            "attempt": taken.attempt,
            "spec": _told_its_index(taken),
            "secrets": secrets,
            "checkpoint": taken.job.checkpoint_for(taken.attempt) or None if taken.spec else None,
        }
    )


def _told_its_index(taken: Taken) -> JobSpec | None:
    """Return the spec of a start; the environment of a job in an array says which of its jobs it is."""
    spec = taken.spec
    if spec is None or spec.array is None:
        return spec
    return replace(spec, array=None, envs=(*spec.envs, *names_of(spec.array, taken.job.id).items()))


@router.post("/report")
def report(here: Here, site: Mine, body: w.ReportIn) -> w.ReportOut:
    """Take in what happened at the site; it is written down for good when the answer comes."""
    seen = body.sighting
    sighting = None
    if seen is not None:
        known = frozenset(AttemptKey(key) for key in seen.known)
        live = frozenset(AttemptKey(key) for key in seen.live)
        pools = tuple(each.state() for each in seen.pools)
        moves = tuple(
            Move(AttemptKey(each.key), each.what, each.done_bytes, each.total_bytes) for each in seen.moves
        )
        at_ms = min(seen.at_ms, here.clock())
        transfers = tuple(Transfer(**each.model_dump()) for each in seen.transfers)
        words = (seen.agent, seen.isolation, seen.trouble, pools, moves, seen.offers, seen.stock, transfers)
        sighting = Sighting(at_ms, known, live, *words, can=seen.can)
    unkept = _keep_logs(here, site, body.logs)
    told = [each for each in body.reports if each.event.kind != "collected" or each.key not in unkept]
    found = here.store.report(site, [each.report() for each in told], sighting, here.clock())
    here.meters.reports(site, found.news, found.repeats)
    if found.news:
        here.bell.ring()
    return w.ReportOut(
        news=found.news, repeats=found.repeats, orphans=found.orphans, unkept=tuple(sorted(unkept))
    )


def _keep_logs(here: Services, site: SiteId, logs: tuple[w.SmallLogDoc, ...]) -> set[str]:
    """Store logs that came with a report; return the attempts of which one could not be kept whole.

    These alone are put off: an end must not wait until there is room for a log.
    """
    unkept: set[str] = set()
    for each in logs:
        try:
            folder = log_folder(*place_of(here, site, each.key), each.rank)
            kept = here.logs.add(folder, 0, each.data, whole=True)
        except (Later, NotFound) as error:
            _log.warning("log not kept", site=site, key=each.key, rank=each.rank, why=error.message)
            kept = -1
        if kept < len(each.data):
            unkept.add(each.key)
    return unkept


@router.post("/usage")
def receive_accounts(here: Here, site: Mine, body: UsageIn) -> UsageOut:
    """Take in what the site's own accounting says was used, and match it with what was billed.

    None is dropped: what cannot be matched is suspended, with the reason.
    """
    for at, each in enumerate(body.records):
        if each.upto_ms < each.from_ms:
            problem = Problem(f"/records/{at}/upto_ms", "is before from_ms", "a later moment")
            raise Refused("bad_span", "a record ends before it starts", (problem,))
    uses = [Use(**each.model_dump(exclude={"key"}), key=_key(each)) for each in body.records]
    now_ms, by = here.clock(), f"site:{site}"
    kept = take_in(here.store, site, uses, limits_of(here.settings), by, now_ms)
    for day in body.days:
        here.store.tally(Tally(source=site, **day.model_dump()))
    if any(each.fate is Fate.CORRECTED for each in kept):
        here.bell.ring()
    return UsageOut(fates=tuple(each.fate.value for each in kept))


def _key(doc: UseDoc) -> AttemptKey | None:
    return AttemptKey(doc.key) if doc.key else None


@router.head("/objects/{digest}", response_class=Response, dependencies=[Depends(OfSite())])
def head_object(here: Here, digest: DigestName) -> Response:
    """Say whether the bytes of a digest are here."""
    size_bytes = here.objects.size(content_path(digest))
    return Response(headers={"X-Size-Bytes": str(size_bytes), "ETag": f'"{digest}"'})


@router.get("/objects/{digest}", response_class=Response, dependencies=[Depends(OfSite())])
def get_object(here: Here, request: Request, digest: DigestName) -> Response:
    """Return the bytes of a digest, from where `Range: bytes=N-` says."""
    size_bytes = here.objects.size(content_path(digest))
    return send_content(request, here.objects, digest, size_bytes, digest)


@router.put("/objects/{digest}", dependencies=[Depends(OfSite())], openapi_extra=_BYTES)
async def put_object(here: Here, request: Request, digest: DigestName) -> StoredObject:
    """Store a kept file under its digest, which is checked while it streams in."""
    size = await receive_content(request, here.objects, digest, here.settings.object_bytes_max)
    return StoredObject(digest=digest, size_bytes=size)


@router.put("/logs/{key}/{rank}", openapi_extra=_BYTES)
async def put_log(
    here: Here,
    request: Request,
    site: Mine,
    key: KeyName,
    rank: Rank,
    offset: Annotated[int, Query(ge=0, lt=1 << 53)],
    whole: Annotated[bool, Query()] = False,
) -> w.LogOut:
    """Add a chunk to a rank's log; rank -1 is staging and setup. The answer says how far the log reaches."""
    data = await request.body()

    def work() -> int:
        folder = log_folder(*place_of(here, site, key), rank)
        return here.logs.add(folder, offset, data, whole=whole)

    return w.LogOut(size_bytes=await run_in_threadpool(work))


def place_of(here: Services, site: str, key: str) -> tuple[str, str, int]:
    """Return project, job and number of an attempt; raises NotFound if it is not at this site."""
    named = split_key(key)
    row = here.store.job(named[0]) if named else None
    if named is None or row is None or not 1 <= named[1] <= len(row.job.attempts):
        raise NotFound("not_found", f"there is no attempt {key!r}")
    if row.job.attempts[named[1] - 1].site != site:
        raise NotFound("not_found", f"there is no attempt {key!r}")
    return row.project, row.job.id, named[1]
