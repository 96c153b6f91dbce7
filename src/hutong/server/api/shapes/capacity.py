"""Cards, figures, conversions and coverage of the core as the wire's shapes."""

from collections.abc import Iterable

from hutong.core.capacity import convert as cv
from hutong.core.capacity import coverage as cover
from hutong.core.capacity import mixes, tables
from hutong.core.capacity.catalogue.claims import Claim
from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.figures import PRECISIONS, RULE, Choice, Figure, Span, sparsity
from hutong.core.capacity.imports import Verdict
from hutong.core.capacity.units import format_gops
from hutong.wire import capacity as w


def figure_shape(figure: Figure, id: str = "") -> w.Figure:
    """Return a figure; `id` names one of the registry."""
    return w.Figure.model_validate(
        {
            "gops": figure.gops, "text": format_gops(figure.gops), "precision": figure.precision,
            "sparsity": sparsity(figure), "basis": figure.basis, "of": figure.of,
            "confidence": figure.confidence,
            "assumed": figure.assumed, "source": figure.source, "dated": figure.dated, "note": figure.note,
            "id": id,
        }
    )  # fmt: skip


def span_shape(span: Span) -> w.Span:
    """Return an interval."""
    return w.Span(low=span.low, likely=span.likely, high=span.high)


def choice_shape(choice: Choice) -> w.Choice:
    """Return the figure that is used, with its interval."""
    return w.Choice.model_validate(
        {"figure": figure_shape(choice.figure), "span": span_shape(choice.span), "status": choice.status}
    )


def _short(card: Card, more: tuple[Figure, ...]) -> dict[str, object]:
    fp16 = card.choice("FP16", more)
    return {
        "model": card.model, "vendor": card.vendor, "stack": card.stack, "domestic": card.domestic,
        "status": card.status, "confidence": card.confidence, "memory_bytes": card.memory_bytes,
        "bandwidth_gb_s": card.bandwidth_gb_s, "tdp_w": card.tdp_w, "dies": card.dies,
        "precisions": card.precisions, "fp16": choice_shape(fp16) if fp16 else None,
    }  # fmt: skip


def card_short(card: Card) -> w.CardShort:
    """Return a card as lists show it, with the catalogue's own figures."""
    return w.CardShort.model_validate(_short(card, ()))


def card_shape(card: Card, more: Iterable[tuple[str, Figure]]) -> w.Card:
    """Return all of a card; `more` are figures of the registry with their ids."""
    kept = tuple(more)
    figures = tuple(figure for _, figure in kept)
    used = [card.choice(precision, figures) for precision in PRECISIONS]
    names = card.names
    return w.Card.model_validate(
        {
            **_short(card, figures),
            "aliases": card.aliases, "watts_milli": card.watts_milli, "cores": card.cores,
            "names": w.CardNames(kubernetes=names.kubernetes, hami=names.hami, slurm=names.slurm,
                             tool=names.tool, note=names.note),
            "claims": card.claims, "note": card.note, "rule": RULE,
            "used": tuple(choice_shape(each) for each in used if each),
            "figures": (*map(figure_shape, card.figures), *(figure_shape(each, id) for id, each in kept)),
        }
    )  # fmt: skip


def claim_shape(claim: Claim) -> w.PublishedClaim:
    """Return a published total."""
    return w.PublishedClaim.model_validate(
        {
            "id": claim.id, "name": claim.name, "scope": claim.scope, "status": claim.status, "at": claim.at,
            "figure": figure_shape(claim.figure),
        }
    )  # fmt: skip


def chain_shape(chain: cv.Chain, precision: str) -> w.Chain:
    """Return a quantity in cards of one model, with what the same cards have in other precisions."""
    also = []
    for each in chain.card.precisions:
        choice = chain.card.choice(each)
        if choice is not None and each != precision:
            gops = span_shape(cv.gops_of(chain.cards, choice.span))
            also.append(w.Also(precision=each, basis=choice.figure.basis, gops=gops))
    return w.Chain(
        model=chain.card.model, domestic=chain.card.domestic, choice=choice_shape(chain.choice),
        gops=span_shape(chain.gops), cards=span_shape(chain.cards), racks=span_shape(chain.racks),
        it_watts=span_shape(chain.it_watts), watts=span_shape(chain.watts),
        watt_hours=span_shape(chain.watt_hours), cards_if_sparse=chain.cards_if_sparse, also=tuple(also),
    )  # fmt: skip


def total_shape(total: mixes.Total) -> w.Total:
    """Return a sum of like figures."""
    return w.Total.model_validate(
        {
            "precision": total.precision, "sparsity": total.sparsity, "basis": total.basis,
            "gops": span_shape(total.gops), "cards": total.cards,
        }
    )  # fmt: skip


def _parts(cards: Iterable[tuple[str, int]]) -> tuple[w.MixPart, ...]:
    return tuple(w.MixPart(model=model, cards=count) for model, count in cards if count)


def mix_shape(mix: mixes.Mix) -> w.Mix:
    """Return what a mix comes to."""
    return w.Mix(
        totals=tuple(map(total_shape, mix.totals)), watts=span_shape(mix.watts),
        domestic_cards_ppm=mix.domestic_cards_ppm, domestic_p_ppm=span_shape(mix.domestic_p_ppm),
        without_figure=_parts(mix.without_figure),
    )  # fmt: skip


def finding_shape(finding: tables.Finding) -> w.TableFinding:
    """Return one thing to say of a table."""
    return w.TableFinding.model_validate(
        {
            "severity": finding.severity, "code": finding.code, "line": finding.line,
            "column": finding.column,
            "message": finding.message, "stated": finding.stated, "found": finding.found,
            "difference": finding.difference,
        }
    )  # fmt: skip


def verdict_shape(verdict: Verdict, id: str) -> w.RowVerdict:
    """Return what becomes of a row of an import."""
    return w.RowVerdict.model_validate(
        {
            "line": verdict.line, "outcome": verdict.outcome, "card": verdict.card, "code": verdict.code,
            "reason": verdict.reason, "hint": verdict.hint,
            "figure": figure_shape(verdict.figure, id) if verdict.figure else None,
        }
    )  # fmt: skip


def coverage_shape(found: cover.Coverage) -> w.Coverage:
    """Return what stands behind a claim."""
    growth = found.growth
    missing: dict[str, int] = {}
    for mix in found.mixes:
        for model, cards in mix.without_figure:
            missing[model] = missing.get(model, 0) + cards
    return w.Coverage(
        claim=claim_shape(found.claim), sites_with_evidence=found.sites[0],
        sites_declared_only=found.sites[1],
        evidence=tuple(map(_row, found.evidence)), declared=tuple(map(_row, found.declared)),
        planned=tuple(map(_row, found.planned)),
        without_figure=_parts(missing.items()), left_gops=found.left_gops,
        growth=None if growth is None else w.Growth(
            since=claim_shape(growth.since), gops=growth.gops, growth_ppm=growth.growth_ppm,
            planned=growth.planned, chains=tuple(chain_shape(each, "FP16") for each in growth.cards),
        ),
    )  # fmt: skip


def _row(row: cover.Row) -> w.CoverRow:
    return w.CoverRow(total=total_shape(row.total), like=row.like, covers_ppm=row.covers_ppm)
