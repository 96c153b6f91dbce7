"""Who an institution is: kinds by period, identifiers, verification, related parties."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from hutong.core.accounts import institutions as i
from hutong.core.accounts import registry as r
from hutong.core.accounts.identifiers import bare_ror, ror_fault, uscc_fault
from hutong.core.accounts.roles import Principal
from hutong.core.book.store import Record
from hutong.core.kernel.errors import Conflict, Problem, Refused
from hutong.server.api.access import Allowed, Here
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes.times import read_time
from hutong.server.registry import amend, document, load, read
from hutong.wire import institutions as w
from hutong.wire.base import Page, Slug, rfc3339

KIND = "institution"
_OF_INSTITUTION = "relation_of"

router = APIRouter(prefix="/v1/institutions/{institution}", tags=["accounts"])

Pages = Annotated[Paging, Depends(paging)]
Name = Annotated[Slug, Path(alias="institution")]
Writer = Annotated[Principal, Depends(Allowed("institution.write"))]


@router.get("/history", dependencies=[Depends(Allowed("institution.read"))])
def read_history(here: Here, institution: Name) -> w.InstitutionHistory:
    """Return the kinds of an institution with their times, its identifiers, and whether it was verified."""
    return _history(load(here.store, KIND, institution, r.Institution))


@router.post("/kinds", status_code=201, dependencies=[Depends(Allowed("institution.write"))])
def change_kind(here: Here, institution: Name, body: w.NewKind) -> w.InstitutionHistory:
    """Give an institution another kind from now or a later time on; what was before is never rewritten."""
    now_ms = here.clock()
    from_ms = read_time(body.start, "/start") if body.start else now_ms
    kind = r.InstitutionKind(body.kind)
    found, _ = amend(
        here.store,
        KIND,
        institution,
        r.Institution,
        lambda there: i.change_kind(there, kind, from_ms, now_ms),
    )
    return _history(found)


@router.put("/identifiers", dependencies=[Depends(Allowed("institution.write"))])
def put_identifiers(here: Here, institution: Name, body: w.Identifiers) -> w.InstitutionHistory:
    """Set identifiers, whose check digits must hold; no two institutions have the same credit code."""
    uscc, ror = body.uscc.strip().upper(), bare_ror(body.ror)
    problems = tuple(_problems(uscc, ror))
    if problems:
        raise Refused("bad_identifier", "that is not an identifier", problems)
    record = here.store.get(KIND, institution)
    there = load(here.store, KIND, institution, r.Institution)
    other = here.store.find(KIND, uscc) if uscc else None
    if other is not None and other.id != institution:
        raise Conflict("exists", f"institution {other.id!r} has this credit code already")
    changed = replace(there, uscc=uscc, ror=ror)
    if record is not None and changed != there:
        here.store.put(replace(record, doc=document(changed), lookup=uscc), expect=record.version)
    return _history(changed)


def _problems(uscc: str, ror: str) -> list[Problem]:
    found = []
    if uscc and (fault := uscc_fault(uscc)):
        found.append(Problem("/uscc", f"not a credit code: {fault}", "18 characters, as on the licence"))
    if ror and (fault := ror_fault(ror)):
        found.append(Problem("/ror", f"not a ROR: {fault}", "such as https://ror.org/03cve4549"))
    return found


@router.put("/verification")
def put_verification(
    here: Here, institution: Name, principal: Writer, body: w.NewVerification
) -> w.InstitutionHistory:
    """Say whether an institution is who it says, and on what evidence."""
    state = r.Verification(body.state)
    found, _ = amend(
        here.store,
        KIND,
        institution,
        r.Institution,
        lambda there: replace(there, verification=state, verified_by=principal.id, verified_note=body.note),
    )
    return _history(found)


@router.get("/related", dependencies=[Depends(Allowed("institution.read"))])
def list_related(here: Here, institution: Name, pages: Pages) -> Page[w.Relation]:
    """List the related parties of an institution, those of the past too."""
    load(here.store, KIND, institution, r.Institution)
    rows = here.store.records(_OF_INSTITUTION, institution, pages.after, pages.limit + 1)
    page = pages.page(rows, lambda row: row.id, lambda row: row.id.partition("/")[2])
    found = [here.store.get("relation", "/".join(sorted((institution, other)))) for other in page.items]
    shapes = [_relation(read(r.Relation, each), institution) for each in found if each is not None]
    return Page(items=tuple(shapes), next=page.next)


@router.put("/related/{other}", dependencies=[Depends(Allowed("institution.write"))])
def put_related(
    here: Here, institution: Name, other: Annotated[Slug, Path()], body: w.NewRelation
) -> w.Relation:
    """Note that two institutions are related parties; it holds both ways, from now on unless it says when."""
    for name in (institution, other):
        load(here.store, KIND, name, r.Institution)
    known = here.store.get("relation", "/".join(sorted((institution, other))))
    began_ms = read(r.Relation, known).from_ms if known else here.clock()
    from_ms = read_time(body.start, "/start") if body.start else began_ms
    upto_ms = read_time(body.end, "/end") if body.end else r.FOREVER_MS
    relation = i.relate(institution, other, body.reason, from_ms, upto_ms)
    if upto_ms <= from_ms:
        problem = Problem("/end", "it ends before it starts", "a time after `start`")
        raise Refused("bad_span", "it ends before it starts", (problem,))
    for one, two in ((institution, other), (other, institution)):
        here.store.put(Record(_OF_INSTITUTION, f"{one}/{two}", {}, parent=one))
    here.store.put(Record("relation", relation.id, document(relation)))
    return _relation(relation, institution)


def _history(institution: r.Institution) -> w.InstitutionHistory:
    periods = institution.kinds or (r.KindPeriod(institution.kind, 0),)
    return w.InstitutionHistory(
        id=institution.id,
        kinds=tuple(
            w.KindPeriod(kind=each.kind.value, start=rfc3339(each.from_ms), end=_end(each.upto_ms))
            for each in periods
        ),
        identifiers=w.Identifiers(uscc=institution.uscc, ror=institution.ror),
        verification=institution.verification.value,
        verified_by=institution.verified_by,
        verified_note=institution.verified_note,
    )


def _relation(relation: r.Relation, seen_from: str) -> w.Relation:
    other = relation.other if relation.one == seen_from else relation.one
    return w.Relation(
        institution=seen_from,
        other=other,
        reason=relation.reason,
        start=rfc3339(relation.from_ms),
        end=_end(relation.upto_ms),
    )


def _end(upto_ms: int) -> str | None:
    return None if upto_ms >= r.FOREVER_MS else rfc3339(upto_ms)
