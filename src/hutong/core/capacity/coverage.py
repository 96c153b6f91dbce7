"""Published totals beside what is registered: how much stands behind a claim, and what a plan adds to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hutong.core.capacity.catalogue import CATALOGUE
from hutong.core.capacity.catalogue.claims import Claim
from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.centres import Centre, PhaseState, last_day
from hutong.core.capacity.convert import Chain, convert
from hutong.core.capacity.figures import Figure, differences, kind
from hutong.core.capacity.holdings import Holding, holdings, merge_totals, planned_holdings, totals_of
from hutong.core.capacity.mixes import PPM, Mix, Total, mix_of
from hutong.core.capacity.sites import Site
from hutong.core.capacity.units import Amount
from hutong.core.kernel.errors import Problem, Refused

SHOWN = ("Ascend910B", "H100", "A100", "H20", "MLU370")
"""Cards that a quantity is told in where nobody names others."""
_NO_CARDS = "CPU"


@dataclass(frozen=True, slots=True)
class Growth:
    """What one total adds to another of the same scope: a plan as long as the later one is planned."""

    since: Claim
    gops: int
    growth_ppm: int
    planned: bool
    cards: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Cards that are registered, of one kind of figure. `like`: it may be set against the claim."""

    total: Total
    like: bool
    covers_ppm: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What stands behind a claim: `evidence` of centres whose agent tells of cards or that were accepted.

    `declared` is of others, `planned` what registered plans add until the day of the claim, declared too.
    `left_gops` is the claim without the like rows that have evidence: on the word of whoever published it.
    """

    claim: Claim
    evidence: tuple[Row, ...]
    declared: tuple[Row, ...]
    planned: tuple[Row, ...]
    mixes: tuple[Mix, Mix]
    sites: tuple[int, int]
    left_gops: int
    growth: Growth | None


def cover(
    claim: Claim,
    since: Claim | None,
    sites: Iterable[Site],
    more: Mapping[str, tuple[Figure, ...]] | None = None,
    centres: Sequence[Centre] = (),
    day: str = "",
) -> Coverage:
    """Return what of a claim is registered, and what it adds to an earlier one; raises Refused if unlike.

    A centre counts on `day`, by its sites where it has some, else by its phases: never by both.
    """
    proved: dict[str, int] = {}
    told: dict[str, int] = {}
    counts = [0, 0]
    seen = set()
    for site in sites:
        seen.add(str(site.id))
        counts[site.declared_only] += 1
        for pool in site.pools:
            if pool.accelerator != _NO_CARDS:
                kept = told if site.declared_only else proved
                kept[pool.accelerator] = kept.get(pool.accelerator, 0) + pool.cards
    mixes = (mix_of(proved, CATALOGUE, more=more), mix_of(told, CATALOGUE, more=more))
    apart = [each for each in centres if not seen.intersection(each.sites)]
    served = list(holdings(apart, day, frozenset({PhaseState.IN_SERVICE}), more)) if day else []
    groups = ([each for each in served if each.proved], [each for each in served if not each.proved])
    evidence, declared = (
        _rows((*mix.totals, *totals_of(group)), claim) for mix, group in zip(mixes, groups, strict=True)
    )
    for at, ids in enumerate({each.centre.id for each in group} for group in groups):
        counts[at] += len(ids)
    planned = _rows(totals_of(_to_come(centres, claim, day, more)), claim)
    proven = sum(row.total.gops.likely for row in evidence if row.like)
    left = max(0, claim.figure.gops - proven)
    growth = None if since is None else grow(since, claim)
    return Coverage(claim, evidence, declared, planned, mixes, (counts[0], counts[1]), left, growth)


def grow(since: Claim, claim: Claim) -> Growth:
    """Return what a claim adds to an earlier one; raises Refused where the two are no points of one line."""
    reasons = [Problem(f"?since/{each.field}", f"{each.left} and {each.right}: {each.why}", "two like totals")
               for each in differences(since.figure, claim.figure)]  # fmt: skip
    if since.scope != claim.scope:
        reasons.append(
            Problem("?since/scope", f"{since.scope!r} and {claim.scope!r}", "two totals of one scope")
        )
    if since.at and since.at >= claim.at:
        reasons.append(
            Problem("?since/at", f"{since.at} is not before {claim.at}", "the earlier one as `since`")
        )
    if reasons:
        raise Refused("unlike_figures", f"{claim.id} cannot be set against {since.id}", tuple(reasons))
    added = claim.figure.gops - since.figure.gops
    chains = tuple(convert(Amount("gops", added), card) for card in shown_cards(())) if added > 0 else ()
    return Growth(since, added, added * PPM // since.figure.gops, claim.status == "planned", chains)


def shown_cards(models: Iterable[str]) -> tuple[Card, ...]:
    """Return the cards of some models, or those that stand for all."""
    return tuple(CATALOGUE[model] for model in tuple(models) or SHOWN)


def _to_come(
    centres: Sequence[Centre], claim: Claim, day: str, more: Mapping[str, tuple[Figure, ...]] | None
) -> list[Holding]:
    """Return what plans add to what is in service until the day of a claim, or in all where it has none."""
    due = last_day(claim.at) if claim.at else "9999-12-31"
    over = {PhaseState.IN_SERVICE, PhaseState.RETIRED}
    return [each for each in planned_holdings(centres, due, day, more) if each.state not in over]


def _rows(totals: Iterable[Total], claim: Claim) -> tuple[Row, ...]:
    return tuple(_row(total, claim) for total in merge_totals(totals))


def _row(total: Total, claim: Claim) -> Row:
    like = (total.precision, total.sparsity, total.basis) == kind(claim.figure)
    return Row(total, like, total.gops.likely * PPM // claim.figure.gops)
