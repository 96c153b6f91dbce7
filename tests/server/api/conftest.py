"""A platform with a port on which deployed models answer; a town of applicants."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.server.mortal import Town
from tests.server.serving import YUAN, Upstream, World, serve

from hutong.server.loop import Loop


@pytest.fixture
def town() -> Iterator[Town]:
    """Universities with projects, reviewers and officers, over a store in memory."""
    made = Town()
    yield made
    made.stack.close()


@pytest.fixture
def world(platform: Any, li: dict[str, str]) -> Iterator[World]:
    """A project with money; nothing is trained or deployed yet, and there is no gateway."""
    with serve(Upstream()) as behind:
        services = platform.services
        loop = Loop(services.store, services.rules, platform.clock, "test")
        found = World(platform, li, Upstream(), behind, 0, loop)
        found.award(1_000 * YUAN)
        yield found
