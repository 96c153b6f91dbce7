"""A quote: what a job would cost in each pool at its project's prices, and who would pay."""

from hutong.core.control.metering import hold_target_micro
from hutong.core.control.terms import plan_attempt, worst_case_micro
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.funding import cover
from hutong.core.work.spec import JobSpec
from hutong.server.api.shapes.previews import look_ahead
from hutong.server.services import Services
from hutong.wire import jobs as w
from hutong.wire.base import Money, rfc3339

_DAY_S = 86_400


def quote_shape(here: Services, spec: JobSpec, project: ProjectId, person: str) -> w.Quote:
    """Return what a spec of a person's would cost a project now: the live decision, its prices and holds.

    Pools that do not have an accelerator that it asks for are left out.
    """
    found, snapshot = look_ahead(here, spec, project, person)
    own = {
        (str(site.id), str(pool.id)): pool.price_micro_per_card_hour
        for site in snapshot.sites
        for pool in site.pools
    }
    pools = []
    for at, (row, view) in enumerate(zip(found.decision.rows, found.pools, strict=True)):
        if not row.cards:
            continue
        attempt = plan_attempt((), view, row.cards, spec, snapshot.now_ms)
        pools.append(
            w.QuotedPool(
                site=row.site,
                pool=row.pool,
                accelerator=row.accelerator,
                cards=row.cards,
                list_price_per_card_hour=Money.of(own[view.site, view.pool]),
                price_per_card_hour=Money.of(view.price_micro_per_card_hour),
                hourly=Money.of(row.cards * view.price_micro_per_card_hour),
                whole=Money.of(worst_case_micro(spec, attempt)),
                hold=Money.of(hold_target_micro(spec, attempt, 0, here.rules.hold_ms)),
                chosen=at == found.decision.chosen,
                why_not=row.why_not.text if row.why_not else "",
            )
        )
    lots = snapshot.lots.get(project, ())
    parts, missing = cover(lots, found.worst_case_micro or 0, snapshot.now_ms)
    kinds = {lot.id: lot.kind.value for lot in lots}
    likely = None if found.likely is None else found.decision.rows[found.likely]
    return w.Quote(
        at=rfc3339(snapshot.now_ms),
        run_s=spec.max_duration_s or _DAY_S,
        pools=tuple(pools),
        of=f"{likely.site}/{likely.pool}" if likely else "",
        pays=tuple(
            w.QuotedPart(lot=part.lot, kind=kinds[part.lot], amount=Money.of(part.amount_micro))
            for part in parts
        ),
        missing=Money.of(missing),
        reason=found.text,
    )
