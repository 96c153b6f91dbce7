"""Computing power: cards and their figures, comparisons, conversions, published totals and tables."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from hutong.core.book.store import Record
from hutong.core.capacity.catalogue import CATALOGUE, find_card
from hutong.core.capacity.catalogue.claims import CLAIMS, Claim
from hutong.core.capacity.catalogue.model import Card
from hutong.core.capacity.convert import Terms, convert
from hutong.core.capacity.coverage import cover, shown_cards
from hutong.core.capacity.figures import PRECISIONS, Figure, differences
from hutong.core.capacity.holdings import models_of
from hutong.core.capacity.imports import identity, read_figures
from hutong.core.capacity.mixes import mix_of
from hutong.core.capacity.sites import Site
from hutong.core.capacity.tables import check_table
from hutong.core.capacity.units import format_gops, parse_amount, parse_figure
from hutong.core.kernel.errors import NotFound, Problem, Refused
from hutong.server.api.access import Allowed, Here, Somewhere
from hutong.server.api.once import digest_of
from hutong.server.api.paging import Paging, paging
from hutong.server.api.shapes import capacity as shapes
from hutong.server.centres import all_centres
from hutong.server.registry import create, document, every, read
from hutong.server.services import Services
from hutong.wire import capacity as w
from hutong.wire.base import Page

router = APIRouter(prefix="/v1/capacity", tags=["capacity"])

Pages = Annotated[Paging, Depends(paging)]
Quantity = Annotated[str, Query(min_length=1, max_length=200)]
Models = Annotated[list[str], Query(max_length=40)]
KEPT_MAX = 500
"""Figures that are kept of one card beside the catalogue's."""
_SITES_MAX = 5000
_READ, _WRITE = Depends(Somewhere("capacity.read")), Depends(Allowed("capacity.write"))


@router.get("/cards", dependencies=[_READ])
def list_cards(
    pages: Pages, domestic: bool | None = None, vendor: Annotated[str, Query(max_length=64)] = ""
) -> Page[w.CardShort]:
    """List the cards of the catalogue in order of their models."""
    cards = [
        card
        for model, card in sorted(CATALOGUE.items())
        if model > pages.after
        and domestic in {None, card.domestic}
        and vendor.casefold() in {"", card.vendor.casefold()}
    ]
    return pages.page(cards[: pages.limit + 1], lambda card: card.model, shapes.card_short)


@router.get("/cards/{card}", dependencies=[_READ])
def get_card(here: Here, card: Annotated[str, Path(max_length=64)]) -> w.Card:
    """Return a card with all its figures side by side; a driver's or a plugin's name of it will do."""
    found = _card(card)
    return shapes.card_shape(found, _kept(here, found.model))


@router.get("/claims", dependencies=[_READ])
def list_claims(pages: Pages) -> Page[w.PublishedClaim]:
    """List the published totals that are known, in order of their ids."""
    found = [claim for id, claim in CLAIMS.items() if id > pages.after]
    return pages.page(found[: pages.limit + 1], lambda claim: claim.id, shapes.claim_shape)


@router.get("/comparison", dependencies=[_READ])
def compare(here: Here, left: Quantity, right: Quantity) -> w.Comparison:
    """Compare two figures: totals by id, cards by name, or quantities such as `500 P FP16 dense nominal`.

    Unlike figures are refused, with each reason.
    """
    (one, odd), (other, odder) = _figure(here, left, "?left"), _figure(here, right, "?right")
    reasons = differences(one, other)
    if reasons:
        problems = tuple(
            Problem(
                f"?right/{each.field}",
                f"{each.left} and {each.right}: {each.why}",
                "a figure like the other one",
            )
            for each in reasons
        )
        told = f"{_told(one)} cannot be compared with {_told(other)}"
        raise Refused("unlike_figures", told, problems)
    if not other.gops:
        raise Refused(
            "no_ratio", "nothing is a multiple of zero", (Problem("?right", "it is zero", "more than 0"),)
        )
    return w.Comparison(
        left=shapes.figure_shape(one),
        right=shapes.figure_shape(other),
        ratio_milli=one.gops * 1000 // other.gops,
        difference_gops=one.gops - other.gops,
        flags=(*odd, *odder),
    )


@router.get("/conversion", dependencies=[_READ])
def convert_amount(
    here: Here,
    amount: Quantity,
    card: Models = [],  # noqa: B006 - FastAPI copies it
    precision: Annotated[str, Query(max_length=16)] = "FP16",
    cards_per_rack: Annotated[int, Query(ge=1, le=1000)] = 32,
    load_milli: Annotated[int, Query(ge=1, le=1000)] = 850,
    pue_milli: Annotated[int, Query(ge=1000, le=5000)] = 1350,
    host_milli: Annotated[int, Query(ge=0, le=5000)] = 0,
) -> w.Conversion:
    """Say what `3000 P`, `1024 cards`, `12 racks`, `3.35 MW` or `35 GWh` is in everything else."""
    parsed = parse_amount(amount, "?amount")
    wanted = _precision(precision)
    terms = Terms(cards_per_rack, load_milli, pue_milli, host_milli)
    cards = shown_cards(_card(name).model for name in card)
    chains = [convert(parsed, each, wanted, terms, imported_figures(here, each.model)) for each in cards]
    return w.Conversion.model_validate(
        {
            "amount": amount,
            "what": parsed.what,
            "value": parsed.value,
            "precision": wanted,
            "terms": w.Terms(
                cards_per_rack=cards_per_rack,
                load_milli=load_milli,
                pue_milli=pue_milli,
                host_milli=host_milli,
            ),
            "flags": parsed.flags,
            "chains": tuple(shapes.chain_shape(each, wanted) for each in chains),
        }
    )


@router.get("/coverage", dependencies=[_READ])
def get_coverage(
    here: Here,
    claim: Annotated[str, Query(max_length=64)],
    since: Annotated[str, Query(max_length=64)] = "",
    region: Annotated[list[str], Query(max_length=20, description="of these regions; none: of all")] = [],  # noqa: B006
) -> w.Coverage:
    """Say what of a total is registered, with evidence, declared or planned; what it adds to `since`."""
    wanted, before = _claim(claim, "?claim"), _claim(since, "?since") if since else None
    every_site = (read(Site, row) for row in every(here.store, "site", "", _SITES_MAX))
    sites = [each for each in every_site if not region or each.region in region]
    centres = [each for each in all_centres(here.store) if not region or each.region in region]
    models = {pool.accelerator for site in sites for pool in site.pools} | set(models_of(centres))
    more = {model: imported_figures(here, model) for model in sorted(models)}
    return shapes.coverage_shape(cover(wanted, before, sites, more, centres, _today(here)))


@router.post("/mix", dependencies=[_READ])
def add_mix(here: Here, body: w.NewMix) -> w.Mix:
    """Say what cards of several models come to: a sum for each kind of figure, and domestic shares."""
    cards: dict[str, int] = {}
    for at, part in enumerate(body.parts):
        model = _card(part.model, f"/parts/{at}/model").model
        cards[model] = cards.get(model, 0) + part.cards
    terms = Terms(pue_milli=body.pue_milli, host_milli=body.host_milli)
    more = {model: imported_figures(here, model) for model in cards}
    return shapes.mix_shape(mix_of(cards, CATALOGUE, _precision(body.precision, "/precision"), terms, more))


@router.post("/table", dependencies=[_READ])
def check_published(here: Here, body: w.NewTable) -> w.CheckedTable:
    """Check the arithmetic of a published table."""
    findings = check_table(body.csv, _today(here))
    errors = sum(each.severity == "error" for each in findings)
    return w.CheckedTable(errors=errors, findings=tuple(map(shapes.finding_shape, findings)))


@router.post("/figures", dependencies=[_WRITE])
def import_figures(here: Here, body: w.NewFigures) -> w.ImportedFigures:
    """Read figures from CSV: a verdict for each row; what is not refused is kept, unless this is a dry run.

    A repeat keeps nothing twice: a figure's id is a digest of what it says.
    """
    known = {model: imported_figures(here, model) for model in CATALOGUE}
    verdicts = read_figures(body.csv, _today(here), known)
    kept = [(each.card, each.figure) for each in verdicts if each.figure is not None]
    _refuse_too_many(kept, known)
    new = {_id(model, figure): (model, figure) for model, figure in kept if not body.dry_run}
    there = {_id(model, figure) for model in {model for model, _ in kept} for figure in known[model]}
    for id in sorted(new.keys() - there):
        model, figure = new[id]
        create(here.store, Record("figure", id, document(figure), parent=model), "figure")
    outcomes = [each.outcome for each in verdicts]
    return w.ImportedFigures(
        taken=outcomes.count("taken"),
        flagged=outcomes.count("flagged"),
        refused=outcomes.count("refused"),
        stored=len(new.keys() - there),
        verdicts=tuple(
            shapes.verdict_shape(each, _id(each.card, each.figure) if each.figure else "")
            for each in verdicts
        ),
    )


@router.delete("/figures/{figure}", status_code=204, dependencies=[_WRITE])
def delete_figure(here: Here, figure: Annotated[str, Path(pattern=r"^[0-9a-f]{24}$")]) -> None:
    """Take an imported figure away; the catalogue's own stay."""
    if not here.store.remove("figure", figure):
        raise NotFound("not_found", f"no imported figure has the id {figure!r}")


def _kept(here: Services, model: str) -> list[tuple[str, Figure]]:
    return [(row.id, read(Figure, row)) for row in every(here.store, "figure", model, KEPT_MAX)]


def imported_figures(here: Services, model: str) -> tuple[Figure, ...]:
    """Return the figures of a card that were imported."""
    return tuple(figure for _, figure in _kept(here, model))


def _id(model: str, figure: Figure) -> str:
    return digest_of(model, identity(figure))[:24]


def _refuse_too_many(kept: Sequence[tuple[str, Figure]], known: dict[str, tuple[Figure, ...]]) -> None:
    for model in {model for model, _ in kept}:
        new = {_id(model, figure) for of, figure in kept if of == model}
        if len(new | {_id(model, figure) for figure in known[model]}) > KEPT_MAX:
            problem = Problem(
                "/csv", f"{model} would have more than {KEPT_MAX} figures", "remove old ones first"
            )
            raise Refused("too_many", f"no more than {KEPT_MAX} figures are kept of one card", (problem,))


def _today(here: Services) -> str:
    return datetime.fromtimestamp(here.clock() // 1000, UTC).date().isoformat()


def _card(name: str, path: str = "?card") -> Card:
    card = find_card(name)
    if card is None:
        problem = Problem(path, f"no card {name!r} is known", "a model of GET /v1/capacity/cards")
        raise (NotFound if path == "?card" else Refused)(
            "unknown_card", f"no card {name!r} is known", (problem,)
        )
    return card


def _claim(id: str, path: str) -> Claim:
    if id not in CLAIMS:
        problem = Problem(path, f"no published total {id!r} is known", _one_of(CLAIMS))
        raise NotFound("unknown_claim", f"no published total {id!r} is known", (problem,))
    return CLAIMS[id]


def _precision(text: str, path: str = "?precision") -> str:
    if text.upper() not in PRECISIONS:
        problem = Problem(path, f"{text!r} is no precision", _one_of(PRECISIONS))
        raise Refused("bad_precision", f"{text!r} is no precision", (problem,))
    return text.upper()


def _figure(here: Services, text: str, path: str) -> tuple[Figure, tuple[str, ...]]:
    if text in CLAIMS:
        figure = CLAIMS[text].figure
        return figure, (f"{text}: {figure.note}",) if figure.assumed else ()
    card = find_card(text)
    if card is not None:
        choice = card.choice("FP16", imported_figures(here, card.model))
        if choice is None:
            problem = Problem(path, f"no FP16 figure of {card.model} is known", "a card of which one is")
            raise Refused("no_figure", f"{card.model} has no figure of FP16", (problem,))
        return choice.figure, (f"{card.model} is {choice.status}",) if choice.status != "settled" else ()
    return parse_figure(text, _today(here), path)


def _told(figure: Figure) -> str:
    assumed = ", as assumed" if figure.assumed else ""
    return f"{format_gops(figure.gops)} of {figure.precision} ({figure.basis}{assumed})"


def _one_of(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"
