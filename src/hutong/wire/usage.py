"""What an agent tells of its engine's own accounting: shapes of the agents' door."""

from typing import Annotated

from pydantic import Field

from hutong.wire.agent import Key, Number, Shape

USES_AT_ONCE = 200


class UseDoc(Shape):
    """One start of a job by the engine's accounting: it had cards in `[from_ms, upto_ms)`, the site's clock.

    `record` names it there for good; told again with other figures it is a new revision. Without `card_ms`
    accounting does not count cards: the attempt's own number holds. Without a key it waits for a person.
    `energy_j` is what counters say its nodes took; `energy_basis` which ones, or why it was not counted.
    """

    record: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")]
    key: Key | None = None
    card_ms: Annotated[int, Field(ge=0, le=10**15)] | None = None
    from_ms: Annotated[int, Field(ge=0, le=10**14)]
    upto_ms: Annotated[int, Field(ge=0, le=10**14)]
    energy_j: Annotated[int, Field(ge=0, le=10**15)] | None = None
    energy_basis: Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,200}$")] = ""


class TallyDoc(Shape):
    """What the engine's accounting holds of a UTC day (days since 1970), read at `read_ms`.

    `count` starts of the platform's jobs ended in it, `uncounted` of them without a count of cards; `others`
    are starts of other jobs of the same user.
    """

    day: Annotated[int, Field(ge=0, le=1_000_000)]
    count: Number
    card_ms: Annotated[int, Field(ge=0, le=10**17)]
    uncounted: Number = 0
    others: Number = 0
    read_ms: Number


class UsageIn(Shape):
    """Records of the engine's accounting, and tallies of days; repeats are harmless."""

    records: Annotated[tuple[UseDoc, ...], Field(max_length=USES_AT_ONCE)] = ()
    days: Annotated[tuple[TallyDoc, ...], Field(max_length=100)] = ()


class UsageOut(Shape):
    """What became of each record, in their order; what is `suspended` may be told again later."""

    fates: tuple[str, ...] = ()
