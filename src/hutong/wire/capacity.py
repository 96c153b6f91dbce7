"""Figures of computing power, cards, conversions, published totals and tables: JSON shapes.

`gops` are giga-operations a second (1 P is 1,000,000), `_ppm` millionths, `_milli` thousandths.
"""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape

Csv = Annotated[str, Field(min_length=1, max_length=400_000)]
Model = Annotated[str, Field(min_length=1, max_length=64)]
Status = Literal["settled", "conflicting", "unverified", "unpublished"]


class Figure(Shape):
    """A quantity of computing power with all that makes it comparable.

    `id` is empty for the catalogue's own; an imported one can be removed by it. `assumed`: the source is
    silent, and the convention of P was taken (FP16 dense).
    """

    gops: int
    text: str
    precision: str
    sparsity: Literal["dense", "sparse"]
    basis: str
    of: Literal["card", "die", "machine"]
    confidence: Literal["A", "B", "C", "D"]
    assumed: bool
    source: str
    dated: str
    note: str
    id: str = ""


class Span(Shape):
    """A quantity that is not known exactly."""

    low: int
    likely: int
    high: int


class Choice(Shape):
    """The figure of a card that is used for a precision, and the interval of those that contradict it."""

    figure: Figure
    span: Span
    status: Status


class CardNames(Shape):
    """How users ask for a card, and the tool that shows it."""

    kubernetes: tuple[str, ...]
    hami: tuple[str, ...]
    slurm: tuple[str, ...]
    tool: str
    note: str


class CardShort(Shape):
    """A card of the catalogue. 0: not published or not found. `fp16` is what P of it means."""

    model: str
    vendor: str
    stack: str
    domestic: bool
    status: Status
    confidence: Literal["A", "B", "C", "D"]
    memory_bytes: int
    bandwidth_gb_s: int
    tdp_w: int
    dies: int
    precisions: tuple[str, ...]
    fp16: Choice | None


class Card(CardShort):
    """All that is known of a card: every figure side by side, and by which `rule` one is used."""

    aliases: tuple[str, ...]
    watts_milli: tuple[int, ...]
    cores: int
    names: CardNames
    claims: tuple[str, ...]
    note: str
    used: tuple[Choice, ...]
    figures: tuple[Figure, ...]
    rule: str


class PublishedClaim(Shape):
    """A published total: what it counts, and whether it was planned, declared or measured."""

    id: str
    name: str
    scope: str
    status: Literal["planned", "declared", "measured"]
    at: str
    figure: Figure


class Comparison(Shape):
    """Two like figures: the left is `ratio_milli` thousandths of the right."""

    left: Figure
    right: Figure
    ratio_milli: int
    difference_gops: int
    flags: tuple[str, ...]


class Terms(Shape):
    """What a conversion assumed."""

    cards_per_rack: int
    load_milli: int
    pue_milli: int
    host_milli: int


class Also(Shape):
    """The same cards in another precision."""

    precision: str
    basis: str
    gops: Span


class Chain(Shape):
    """A quantity in cards of one model: their power, racks, watts with PUE, and watt-hours a year.

    `cards_if_sparse`: how many there would be if a sparse figure were taken for a dense one, if one is known.
    """

    model: str
    domestic: bool
    choice: Choice
    gops: Span
    cards: Span
    racks: Span
    it_watts: Span
    watts: Span
    watt_hours: Span
    cards_if_sparse: int
    also: tuple[Also, ...]


class Conversion(Shape):
    """A quantity as cards of several models, which are alternatives."""

    amount: str
    what: Literal["gops", "watts", "watt_hours", "cards", "racks"]
    value: int
    precision: str
    terms: Terms
    flags: tuple[str, ...]
    chains: tuple[Chain, ...]


class MixPart(Shape):
    """Cards of one model in a mix."""

    model: Model
    cards: Annotated[int, Field(ge=1, le=100_000_000)]


class NewMix(Shape):
    """Cards whose sum is wanted. `precision` of all of them."""

    parts: Annotated[tuple[MixPart, ...], Field(min_length=1, max_length=60)]
    precision: Annotated[str, Field(max_length=16)] = "FP16"
    pue_milli: Annotated[int, Field(ge=1000, le=5000)] = 1350
    host_milli: Annotated[int, Field(ge=0, le=5000)] = 0


class Total(Shape):
    """A sum of figures of one kind. Unlike ones are never added."""

    precision: str
    sparsity: Literal["dense", "sparse"]
    basis: str
    gops: Span
    cards: int


class Mix(Shape):
    """What cards come to, kind by kind; domestic share by cards and by P, which differ."""

    totals: tuple[Total, ...]
    watts: Span
    domestic_cards_ppm: int
    domestic_p_ppm: Span
    without_figure: tuple[MixPart, ...]


class NewTable(Shape):
    """A published table in CSV: the first column names the row, a row named `total` states totals."""

    csv: Csv


class TableFinding(Shape):
    """One thing to say of a table. `line` is of the file, 0 for a whole column."""

    severity: Literal["error", "note"]
    code: str
    line: int
    column: str
    message: str
    stated: str
    found: str
    difference: str


class CheckedTable(Shape):
    """What is wrong with a table, errors first."""

    errors: int
    findings: tuple[TableFinding, ...]


class NewFigures(Shape):
    """Figures in CSV: columns card, precision, teraflops, basis, source, dated; sparsity, of, confidence."""

    csv: Csv
    dry_run: bool = False


class RowVerdict(Shape):
    """What becomes of a row: `flagged` is kept, and to be looked at."""

    line: int
    outcome: Literal["taken", "flagged", "refused"]
    card: str
    code: str
    reason: str
    hint: str
    figure: Figure | None


class ImportedFigures(Shape):
    """A verdict for each row; `stored` are those that were new and are kept now."""

    taken: int
    flagged: int
    refused: int
    stored: int
    verdicts: tuple[RowVerdict, ...]


class CoverRow(Shape):
    """Registered cards of one kind of figure beside a claim. `like`: they may be set against it."""

    total: Total
    like: bool
    covers_ppm: int


class Growth(Shape):
    """What a total adds to an earlier one; `planned`: it is a plan, no measurement."""

    since: PublishedClaim
    gops: int
    growth_ppm: int
    planned: bool
    chains: tuple[Chain, ...]


class Coverage(Shape):
    """What of a published total is registered: with evidence (an agent, or an acceptance), or declared only.

    `planned`: what registered plans add until the day of the total. `left_gops`: what stands on the word of
    whoever published it. Sites are counted with centres that have none.
    """

    claim: PublishedClaim
    sites_with_evidence: int
    sites_declared_only: int
    evidence: tuple[CoverRow, ...]
    declared: tuple[CoverRow, ...]
    planned: tuple[CoverRow, ...]
    without_figure: tuple[MixPart, ...]
    left_gops: int
    growth: Growth | None
