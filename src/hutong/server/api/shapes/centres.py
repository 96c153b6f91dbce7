"""Centres, sums and plans of the core as the wire's shapes, and back."""

from dataclasses import replace

from hutong.core.accounts.identifiers import uscc_fault
from hutong.core.capacity import centres as c
from hutong.core.capacity import rollups as r
from hutong.core.capacity.catalogue import find_card
from hutong.core.capacity.centre_table import RowVerdict
from hutong.core.capacity.units import parse_figure
from hutong.core.kernel.errors import Problem, Refused
from hutong.server.api.shapes.capacity import figure_shape, span_shape
from hutong.wire import centres as w
from hutong.wire.base import rfc3339


def read_centre(body: w.NewCentre, origin: str, at_ms: int, by: str) -> c.Centre:
    """Return the centre that is asked for; raises Refused."""
    made = read_facts(c.Centre(body.id, "", "", ""), body)
    ids = [each.id for each in body.phases]
    if len(set(ids)) < len(ids):
        problem = Problem("/phases", "two phases have one id", "one id for each")
        raise Refused("bad_centre", problem.message, (problem,))
    phases = tuple(read_phase(each, at_ms, by, f"/phases/{at}") for at, each in enumerate(body.phases))
    return replace(made, phases=phases, origin=origin)


def read_facts(there: c.Centre, body: w.CentreFacts) -> c.Centre:
    """Return a centre with other facts, its phases as they are; raises Refused."""
    if not body.name_zh and not body.name_en:
        problem = Problem("/name_en", "a centre has a name", "name_zh or name_en")
        raise Refused("no_name", problem.message, (problem,))
    return replace(
        there, name_zh=body.name_zh, name_en=body.name_en, region=body.region,
        owner=_party(body.owner, "/owner"), operator=_party(body.operator, "/operator"),
        contract=body.contract, sites=tuple(dict.fromkeys(body.sites)), note=body.note,
        place=c.Place(body.place.lat_micro, body.place.lon_micro) if body.place else None,
    )  # fmt: skip


def read_phase(body: w.NewPhase, at_ms: int, by: str, path: str = "") -> c.Phase:
    """Return the phase that is asked for; raises Refused."""
    changes = tuple(
        read_change(each, at_ms, by, f"{path}/changes/{at}") for at, each in enumerate(body.changes)
    )
    plans = tuple(read_plan(each, at_ms, by, f"{path}/plans/{at}") for at, each in enumerate(body.plans))
    capacity = read_capacity(body.capacity, f"{path}/capacity")
    return c.Phase(body.id, body.name, capacity, changes, plans, note=body.note)


def read_change(body: w.NewPhaseChange, at_ms: int, by: str, path: str = "") -> c.Change:
    """Return the change that is asked for; raises Refused."""
    c.last_day(body.on, f"{path}/on")
    told = body.evidence
    evidence = c.Evidence(told.source, told.document, told.confirmed_by)
    capacity = read_capacity(body.capacity, f"{path}/capacity") if body.capacity else None
    return c.Change(c.PhaseState(body.state), body.on, evidence, at_ms, by, capacity)


def read_plan(body: w.NewPlan, at_ms: int, by: str, path: str = "") -> c.Plan:
    """Return the plan that is asked for; raises Refused."""
    c.last_day(body.due, f"{path}/due")
    capacity = read_capacity(body.capacity, f"{path}/capacity") if body.capacity else None
    return c.Plan(body.due, body.told, body.source, at_ms, by, capacity)


def read_capacity(body: w.NewCapacity, path: str) -> c.Capacity:
    """Return what a phase is said to have; raises Refused for an unknown card or a text that is no figure."""
    lines: dict[str, int] = {}
    for at, line in enumerate(body.cards):
        card = find_card(line.model)
        if card is None:
            problem = Problem(f"{path}/cards/{at}/model", f"no card {line.model!r} is known",
                              "a model of GET /v1/capacity/cards")  # fmt: skip
            raise Refused("unknown_card", problem.message, (problem,))
        lines[card.model] = lines.get(card.model, 0) + line.cards
    stated = None
    if body.stated:
        dated = c.last_day(body.stated.dated, f"{path}/stated/dated")
        figure, flags = parse_figure(body.stated.amount, dated, f"{path}/stated/amount")
        note = "; ".join(each for each in (body.stated.note, *flags) if each)
        stated = replace(
            figure, source=body.stated.source, confidence=body.stated.confidence, note=note,
            dated=body.stated.dated,
        )  # fmt: skip
    return c.Capacity(tuple(c.CardLine(*each) for each in sorted(lines.items())), stated)


def centre_shape(centre: c.Centre, day: str, *, whole: bool) -> w.Centre:
    """Return a centre as of a day; `whole` with its contract and who recorded what."""
    return w.Centre(
        id=centre.id, name_zh=centre.name_zh, name_en=centre.name_en, region=centre.region,
        owner=_party_shape(centre.owner), operator=_party_shape(centre.operator),
        contract=centre.contract if whole else "",
        place=w.Place(lat_micro=centre.place.lat_micro, lon_micro=centre.place.lon_micro)
        if centre.place else None,
        sites=centre.sites, phases=tuple(_phase(each, day, whole) for each in centre.phases),
        note=centre.note, as_of=day,
    )  # fmt: skip


def _phase(phase: c.Phase, day: str, whole: bool) -> w.Phase:
    state = phase.state_at(day)
    changes = tuple(
        w.PhaseChange(
            state=each.state.value, on=each.on, capacity=_capacity(each.capacity),
            evidence=w.PhaseEvidence(source=each.evidence.source, document=each.evidence.document,
                                confirmed_by=each.evidence.confirmed_by),
            recorded=rfc3339(each.at_ms), by=each.by if whole else "",
        )
        for each in phase.changes
    )  # fmt: skip
    plans = tuple(
        w.Plan(due=each.due, told=each.told, source=each.source, capacity=_capacity(each.capacity))
        for each in phase.plans
    )
    capacity = phase.capacity_at(day)
    return w.Phase(
        id=phase.id, name=phase.name, state=state.value if state else "", proved=phase.proved_at(day),
        capacity=_capacity(capacity) or w.PhaseCapacity(cards=(), stated=None), plans=plans, changes=changes,
        withdrawn=phase.withdrawn.reason if phase.withdrawn else "", note=phase.note,
    )  # fmt: skip


def _capacity(capacity: c.Capacity | None) -> w.PhaseCapacity | None:
    if capacity is None:
        return None
    cards = tuple(w.CardLine(model=each.model, cards=each.cards) for each in capacity.lines)
    return w.PhaseCapacity(cards=cards, stated=figure_shape(capacity.stated) if capacity.stated else None)


def _party(body: w.Party, path: str) -> c.Party:
    code = body.uscc.strip().upper()
    if code and (fault := uscc_fault(code)):
        problem = Problem(f"{path}/uscc", f"not a credit code: {fault}", "18 characters, as on the licence")
        raise Refused("bad_identifier", "that is not an identifier", (problem,))
    return c.Party(body.name, code, body.institution)


def _party_shape(party: c.Party) -> w.Party:
    return w.Party(name=party.name, uscc=party.uscc, institution=party.institution)


def verdict_shape(verdict: RowVerdict) -> w.CentreRowVerdict:
    """Return what becomes of a row."""
    remarks = [
        {"severity": each.severity, "code": each.code, "column": each.column, "message": each.message,
         "hint": each.hint}
        for each in verdict.remarks
    ]  # fmt: skip
    return w.CentreRowVerdict.model_validate(
        {"line": verdict.line, "outcome": verdict.outcome, "centre": verdict.centre, "remarks": remarks}
    )


def group_shape(group: r.Group) -> w.RollUpGroup:
    """Return what comes to one key."""
    rows = tuple(
        w.RollUpRow.model_validate(
            {
                **kind_shape(each.kind), "evidence": span_shape(each.evidence),
                "declared": span_shape(each.declared), "evidence_ppm": each.evidence_ppm,
                "assumed_gops": each.assumed_gops,
            }
        )
        for each in group.rows
    )  # fmt: skip
    return w.RollUpGroup(
        key=group.key, centres=group.centres, phases=group.phases, silent=group.silent, cards=group.cards,
        rows=rows, domestic_cards_ppm=group.shares.cards_ppm, domestic_p_ppm=group.shares.gops_ppm,
        unknown_origin_gops=group.shares.unknown_gops,
    )  # fmt: skip


def point_shape(point: r.Point) -> w.PlanPoint:
    """Return plans and what came of them up to a day."""
    rows = tuple(
        w.PlanRow.model_validate(
            {
                **kind_shape(each.kind), "first_plan": span_shape(each.first),
                "latest_plan": span_shape(each.latest), "actual": span_shape(each.actual),
                "unplanned": span_shape(each.unplanned),
            }
        )
        for each in point.rows
    )  # fmt: skip
    return w.PlanPoint(day=point.day, rows=rows)


def delay_shape(delay: r.Delay) -> w.Delay:
    """Return a planned phase and how late it is."""
    return w.Delay(
        centre=delay.centre.id, phase=delay.phase.id, first_due=delay.first_due, latest_due=delay.latest_due,
        state=delay.state.value if delay.state else "", in_service=delay.since, late_days=delay.late_days,
    )  # fmt: skip


def kind_shape(kind: tuple[str, str, str]) -> dict[str, object]:
    """Return what must be equal of figures that are added."""
    precision, sparsity, basis = kind
    return {"precision": precision, "sparsity": sparsity, "basis": basis}
