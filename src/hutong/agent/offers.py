"""What a site lets jobs read beside the platform's objects: S3 stores and shared folders, each by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hutong.core.kernel.errors import Later, Refused


@dataclass(frozen=True, slots=True)
class StoreOffer:
    """An S3 store that the agent may fetch from for jobs that bring credentials for it, or need none."""

    endpoint: str
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class Offers:
    """Stores and folders by name, and the bounds of what one input by URL may hold.

    An agent that fetched from any address would be a way into the centre's network: so what is not here is
    not to be had.
    """

    stores: Mapping[str, StoreOffer] = field(default_factory=dict)
    shared: Mapping[str, Path] = field(default_factory=dict)
    most_files: int = 10_000
    most_bytes: int = 200 << 30

    @property
    def names(self) -> tuple[str, ...]:
        """What the platform is told, in order: `shared/NAME` and `store/NAME`."""
        return tuple(
            sorted([*(f"store/{each}" for each in self.stores), *(f"shared/{each}" for each in self.shared)])
        )

    def store(self, name: str) -> StoreOffer:
        """Return a store; raises Refused that says what the site has."""
        if name not in self.stores:
            text = f"no store {name!r} is offered here to fetch inputs from ({_names(self.stores)})"
            raise Refused("no_store", text)
        return self.stores[name]

    def folder(self, wanted: str) -> Path:
        """Return the folder `NAME/sub/folder`, links followed. Raises Refused where it is not to be had."""
        name, _, rest = wanted.partition("/")
        if name not in self.shared:
            text = f"no shared folder {name!r} is offered here ({_names(self.shared)})"
            raise Refused("no_shared_folder", text)
        try:
            base = self.shared[name].resolve(strict=True)
        except OSError as error:
            raise Later(f"the shared folder {name} is not there: {error.strerror}") from error
        try:
            found = (base / rest).resolve(strict=True)
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError
            raise Refused("bad_input", f"there is no folder {rest!r} in the shared folder {name}") from error
        if not found.is_relative_to(base):
            raise Refused("bad_input", f"{rest!r} leads out of the shared folder {name}")
        if not found.is_dir():
            raise Refused("bad_input", f"{rest!r} in the shared folder {name} is no folder")
        return found


def _names(offered: Mapping[str, object]) -> str:
    return f"there are: {', '.join(sorted(offered))}" if offered else "there are none"
