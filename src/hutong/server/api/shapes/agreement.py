"""How centres agree with their sites, as the wire's shapes."""

from dataclasses import asdict

from hutong.core.capacity.agreement import Agreement
from hutong.server.api.shapes.capacity import span_shape
from hutong.server.api.shapes.centres import kind_shape
from hutong.wire import agreement as w


def agreement_shape(found: Agreement, day: str) -> w.Agreement:
    """Return how a centre agrees with its sites."""
    cards = tuple(
        w.AgreedCards(
            model=each.model, in_service=each.in_service, accepted=each.accepted, declared=each.declared,
            difference=each.difference, verdict=each.verdict,
        )
        for each in found.cards
    )  # fmt: skip
    power = tuple(
        w.AgreedPower.model_validate(
            {
                **kind_shape(each.kind), "in_service": span_shape(each.in_service),
                "accepted": span_shape(each.accepted), "declared": span_shape(each.declared),
                "difference": each.difference, "verdict": each.verdict,
                "why": [asdict(one) for one in each.why],
            }
        )
        for each in found.power
    )  # fmt: skip
    return w.Agreement(
        centre=found.centre.id, as_of=day, sites=found.centre.sites, verdict=found.verdict, cards=cards,
        power=power, notes=found.notes,
    )  # fmt: skip
