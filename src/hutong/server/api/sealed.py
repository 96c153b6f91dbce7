"""Sealed reports at the door: agents hand them in, operators register keys, auditors check the chain."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.capacity.sites import Site
from hutong.core.kernel.chain import START, parse_head
from hutong.core.kernel.errors import NotFound
from hutong.core.kernel.ids import SiteId
from hutong.server.api.access import Allowed, Here, OfSite
from hutong.server.registry import read
from hutong.server.sealing import SiteKey, add_key, check_sealed, keys_of, retire_key, take_in_sealed
from hutong.server.services import Services
from hutong.wire import sealed as w
from hutong.wire.base import Slug, rfc3339

router = APIRouter(prefix="/v1", tags=["sites"])

Mine = Annotated[SiteId, Depends(OfSite())]
SiteName = Annotated[Slug, Path(alias="site")]


@router.get("/agent/sealed")
def get_sealed_head(here: Here, site: Mine) -> w.SealedHead:
    """Return how far the caller's own chain goes."""
    head = here.store.sealed_head(site)
    return w.SealedHead(seq=head.seq, hash=head.hash)


@router.post("/agent/sealed")
def receive_sealed(here: Here, site: Mine, body: w.SealedIn) -> w.SealedHead:
    """Keep reports that go on after the head; a gap or a fork is a conflict, and nothing is kept."""
    head = take_in_sealed(here.store, _site(here, site), body.reports, here.clock())
    return w.SealedHead(seq=head.seq, hash=head.hash)


@router.get("/sites/{site}/keys", dependencies=[Depends(Allowed("ledger.verify"))])
def list_site_keys(here: Here, site: SiteName) -> w.SiteKeys:
    """Return the keys with which a site's agents seal, at most 50."""
    return w.SiteKeys(items=tuple(_key(each) for each in keys_of(here.store, _site(here, site).id)))


@router.put("/sites/{site}/keys", dependencies=[Depends(Allowed("site.write"))])
def put_site_key(here: Here, site: SiteName, body: w.NewSiteKey) -> w.SiteKey:
    """Register a public key of a site's agent; from then on its reports must be signed."""
    return _key(add_key(here.store, _site(here, site).id, body.public, here.clock()))


@router.delete("/sites/{site}/keys/{key}", dependencies=[Depends(Allowed("site.write"))])
def retire_site_key(here: Here, site: SiteName, key: Annotated[w.KeyId, Path()]) -> w.SiteKey:
    """Let a key seal no more; what it sealed before stays signed."""
    return _key(retire_key(here.store, _site(here, site).id, key, here.clock()))


@router.get("/sites/{site}/sealed/check", dependencies=[Depends(Allowed("ledger.verify"))])
def check_site_sealed(
    here: Here,
    site: SiteName,
    after: Annotated[str, Query(max_length=90, description="SEQ:HASH where an earlier check ended")] = "",
) -> w.SealedCheck:
    """Check a site's chain from its beginning or after a head: hashes, order, signatures; 10,000 at once."""
    since = parse_head(after, "?after") if after else START
    found = check_sealed(here.store, _site(here, site).id, since)
    return w.SealedCheck(
        site=site,
        reports=found.reports,
        signed=found.signed,
        unsigned=found.unsigned,
        head=found.head.text,
        more=found.more,
        faults=tuple(w.ChainFault(seq=each.seq, text=each.text) for each in found.faults),
    )


def _site(here: Services, name: str) -> Site:
    record = here.store.get("site", name)
    if record is None:
        raise NotFound("not_found", f"there is no site {name!r}")
    return read(Site, record)


def _key(key: SiteKey) -> w.SiteKey:
    retired = rfc3339(key.retired_ms) if key.retired_ms else None
    return w.SiteKey(id=key.id, public=key.public, registered=rfc3339(key.registered_ms), retired=retired)
