"""A gateway on a port, behind it a small real server that speaks the OpenAI shapes, and a deployed model."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.server.serving import YUAN, Upstream, World, serve

from hutong.server.gateway.app import make_gateway
from hutong.server.loop import Loop


@pytest.fixture
def upstream() -> Upstream:
    """What stands behind the deployed model."""
    return Upstream()


@pytest.fixture
def world(platform: Any, li: dict[str, str], upstream: Upstream) -> Iterator[World]:
    """A gateway over the platform; nothing is trained, deployed or paid yet."""
    with serve(upstream) as behind, serve(make_gateway(platform.services)) as front:
        services = platform.services
        loop = Loop(services.store, services.rules, platform.clock, "test")
        yield World(platform, li, upstream, behind, front, loop)


@pytest.fixture
def served(world: World) -> World:
    """A model that is deployed and answers."""
    world.award(1_000 * YUAN)
    world.register(world.train())
    world.deploy()
    return world
