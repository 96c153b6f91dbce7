"""Centres of the registry, their phases, sums over them, plans and identifiers: JSON shapes.

Days are `2025-03-31`, a month `2025-03`, or a year. `gops` are giga-operations a second (1 P is 1,000,000).
"""

from typing import Annotated, Literal

from pydantic import Field

from hutong.wire.base import Shape, Slug
from hutong.wire.capacity import Csv, Figure, Model, Span

Text = Annotated[str, Field(max_length=300)]
Said = Annotated[str, Field(min_length=1, max_length=300)]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$", examples=["2025-03"])]
State = Literal["planned", "under-construction", "accepted", "in-service", "retired"]
By = Literal[
    "all", "region", "owner", "operator", "centre", "chip", "vendor", "precision", "domestic", "state"
]
Code = Annotated[str, Field(max_length=128)]


class Party(Shape):
    """An owner or operator. `institution` is one of the platform, if it is one."""

    name: Text = ""
    uscc: Annotated[str, Field(max_length=18)] = ""
    institution: Annotated[str, Field(max_length=63)] = ""


class Place(Shape):
    """WGS 84 coordinates in millionths of a degree."""

    lat_micro: Annotated[int, Field(ge=-90_000_000, le=90_000_000)]
    lon_micro: Annotated[int, Field(ge=-180_000_000, le=180_000_000)]


class CardLine(Shape):
    """Cards of one model."""

    model: Model
    cards: Annotated[int, Field(ge=1, le=100_000_000)]


class Stated(Shape):
    """A stated total such as `500 P FP16 dense nominal`; what it does not say is the convention of P."""

    amount: Annotated[str, Field(min_length=1, max_length=100)]
    source: Said
    dated: Day
    confidence: Literal["A", "B", "C", "D"] = "C"
    note: Text = ""


class NewCapacity(Shape):
    """Cards by model, a stated total, both, or neither where nobody said."""

    cards: Annotated[tuple[CardLine, ...], Field(max_length=60)] = ()
    stated: Stated | None = None


class PhaseCapacity(Shape):
    """What a phase has."""

    cards: tuple[CardLine, ...]
    stated: Figure | None


class PhaseEvidence(Shape):
    """Who says so. With a document and who confirmed it, it is evidence; without, a declaration."""

    source: Said
    document: Text = ""
    confirmed_by: Text = ""


class NewPhaseChange(Shape):
    """A phase came into a state. `capacity`: what it has from then on, if that is not what was planned."""

    state: State
    on: Day
    evidence: PhaseEvidence
    capacity: NewCapacity | None = None


class NewPlan(Shape):
    """When a phase is to be in service, as told on a day."""

    due: Day
    told: Day
    source: Said
    capacity: NewCapacity | None = None


class NewPhase(Shape):
    """A part of a centre that comes as a whole, with the states that are known of it."""

    id: Slug
    name: Text = ""
    capacity: NewCapacity = NewCapacity()
    plans: Annotated[tuple[NewPlan, ...], Field(max_length=20)] = ()
    changes: Annotated[tuple[NewPhaseChange, ...], Field(min_length=1, max_length=20)]
    note: Text = ""


class CentreFacts(Shape):
    """What may be said anew of a centre; its phases have calls of their own."""

    name_zh: Text = ""
    name_en: Text = ""
    region: Annotated[str, Field(min_length=1, max_length=100)]
    owner: Party = Party()
    operator: Party = Party()
    contract: Text = ""
    place: Place | None = None
    sites: Annotated[tuple[Slug, ...], Field(max_length=40)] = ()
    note: Text = ""


class NewCentre(CentreFacts):
    """A centre, connected or not."""

    id: Slug
    phases: Annotated[tuple[NewPhase, ...], Field(max_length=100)] = ()


class PhaseChange(Shape):
    """What happened to a phase, and who recorded it when (empty for who may not write)."""

    state: State
    on: str
    evidence: PhaseEvidence
    capacity: PhaseCapacity | None
    recorded: str
    by: str


class Plan(Shape):
    """A plan as it was told."""

    due: str
    told: str
    source: str
    capacity: PhaseCapacity | None


class Phase(Shape):
    """A phase as of a day: `state` is empty where it was not known then. `proved`: with evidence."""

    id: str
    name: str
    state: State | Literal[""]
    proved: bool
    capacity: PhaseCapacity
    plans: tuple[Plan, ...]
    changes: tuple[PhaseChange, ...]
    withdrawn: str
    note: str


class Centre(Shape):
    """A centre as of a day. `contract` is empty for who may not write the registry."""

    id: str
    name_zh: str
    name_en: str
    region: str
    owner: Party
    operator: Party
    contract: str
    place: Place | None
    sites: tuple[str, ...]
    phases: tuple[Phase, ...]
    note: str
    as_of: str


class Reason(Shape):
    """Why."""

    reason: Said


class NewCentres(Shape):
    """Many centres in CSV. `source` stands where a row names none.

    Unless `skip_bad`, one bad row keeps all out. `keep_duplicates`: what may be there already is entered
    all the same, and flagged.
    """

    csv: Csv
    source: Text = ""
    dry_run: bool = False
    skip_bad: bool = False
    keep_duplicates: bool = False


class Remark(Shape):
    """One thing to say of a row."""

    severity: Literal["error", "gap"]
    code: str
    column: str
    message: str
    hint: str


class CentreRowVerdict(Shape):
    """What becomes of a row: `flagged` is good, with gaps."""

    line: int
    outcome: Literal["taken", "flagged", "refused"]
    centre: str
    remarks: tuple[Remark, ...]


class ImportedCentres(Shape):
    """A verdict for each row. `stored` centres are new; `unchanged` ones came of the same rows before.

    `file` is the digest of what was sent; every centre of it keeps that.
    """

    file: str
    taken: int
    flagged: int
    refused: int
    stored: int
    unchanged: int
    verdicts: tuple[CentreRowVerdict, ...]


class RollUpRow(Shape):
    """A sum of like figures. Of `assumed_gops` nobody said the precision."""

    precision: str
    sparsity: Literal["dense", "sparse"]
    basis: str
    evidence: Span
    declared: Span
    evidence_ppm: int
    assumed_gops: int


class RollUpGroup(Shape):
    """What comes to one key. `silent` phases have no computing power that could be counted.

    Domestic shares are of what is known of origin; `unknown_origin_gops` is not in them.
    """

    key: str
    centres: int
    phases: int
    silent: int
    cards: int
    rows: tuple[RollUpRow, ...]
    domestic_cards_ppm: int
    domestic_p_ppm: int
    unknown_origin_gops: int


class RollUp(Shape):
    """Sums over the registry on a day."""

    as_of: str
    by: By
    states: tuple[State, ...]
    region: str
    groups: tuple[RollUpGroup, ...]


class PlanRow(Shape):
    """One kind: by the first and the latest plans, what of the planned is there, what came without a plan."""

    precision: str
    sparsity: Literal["dense", "sparse"]
    basis: str
    first_plan: Span
    latest_plan: Span
    actual: Span
    unplanned: Span


class PlanPoint(Shape):
    """Plans and what came of them up to a day."""

    day: str
    rows: tuple[PlanRow, ...]


class Delay(Shape):
    """A planned phase. `late_days` None: it is not due yet, or was given up; below 0: it came early."""

    centre: str
    phase: str
    first_due: str
    latest_due: str
    state: State | Literal[""]
    in_service: str
    late_days: int | None


class PlanAgainstActual(Shape):
    """Plans beside what came of them; the latest 200 delays, worst first."""

    as_of: str
    region: str
    points: tuple[PlanPoint, ...]
    delays: tuple[Delay, ...]
    delays_in_all: int


class NewIdentifier(Shape):
    """Ask for an identifier. `code` is for schemes whose codes are given by another registry."""

    subject: Annotated[str, Field(min_length=3, max_length=200, examples=["centre/shangzhuang"])]
    scheme: Annotated[str, Field(min_length=1, max_length=32)] = "hutong"
    code: Code = ""
    holder: Text = ""


class Transfer(Shape):
    """Who is to hold an identifier, and why."""

    holder: Said
    reason: Said


class Retirement(Shape):
    """Why an identifier goes out of use, and which takes its place."""

    reason: Said
    successor: Annotated[str, Field(max_length=200)] = ""


class IdentifierEvent(Shape):
    """What happened to an identifier, and who held it from then on."""

    what: Literal["registered", "transferred", "retired"]
    at: str
    holder: str
    reason: str


class Identifier(Shape):
    """An identifier as anybody may resolve it."""

    id: str
    scheme: str
    code: str
    kind: Literal["centre", "site", "pool"]
    subject: str
    name: str
    region: str
    holder: str
    state: Literal["active", "retired"]
    successor: str
    events: tuple[IdentifierEvent, ...]


class IdentifierScheme(Shape):
    """How identifiers of a scheme look. `issues`: the platform makes them; else each is given."""

    name: str
    issues: bool
    about: str
