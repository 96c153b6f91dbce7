"""How the free cards of a pool are spread over its nodes, as an agent tells it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hutong.core.capacity.spread import CARDS_MAX, SHAPES_MAX, Spread

_Count = Annotated[int, Field(ge=0, lt=1 << 31)]
_Some = Annotated[int, Field(ge=1, lt=1 << 31)]


class SpreadDoc(BaseModel):
    """The nodes of a pool that take work, by their free cards: at k of `levels`, how many have k free.

    `ours` are the attempts of this platform whose cards are not free there: nodes, cards a node, how many.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    levels: Annotated[tuple[_Count, ...], Field(min_length=1, max_length=CARDS_MAX + 1)]
    ours: Annotated[tuple[tuple[_Some, _Some, _Some], ...], Field(max_length=SHAPES_MAX)] = ()

    def spread(self) -> Spread:
        """Return the spread that the store takes."""
        return Spread(self.levels, self.ours)
