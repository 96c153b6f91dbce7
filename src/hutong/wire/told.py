"""What an agent says of its site by name: what jobs may read there, and what its engine can do."""

from typing import Annotated

from pydantic import Field

_Offer = Annotated[str, Field(pattern=r"^(store|shared)/[a-z0-9][a-z0-9-]{0,62}$")]
_Ability = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]

Offers = Annotated[tuple[_Offer, ...], Field(max_length=1_000)]
Abilities = Annotated[tuple[_Ability, ...], Field(max_length=50)]
