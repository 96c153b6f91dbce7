"""A world for each test of the agent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.scene import Door, World


@pytest.fixture
def door(world: World) -> Iterator[Door]:
    opened = Door(world.link)
    yield opened
    opened.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
