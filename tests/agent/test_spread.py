"""An agent tells how free cards are spread over nodes, and stops when it does not know any more."""

from tests.agent.scene import SITE, World

from hutong.adapters.engines.memory import MemoryEngine
from hutong.core.capacity.sites import PoolState
from hutong.core.capacity.spread import Spread
from hutong.core.kernel.errors import Later

STATE = PoolState("main", 512, 496, 0, Spread((60, 0, 0, 0, 4)))


class Mute(MemoryEngine):
    """An engine whose scheduler does not answer for a while."""

    mute = False

    def capacity(self) -> tuple[PoolState, ...]:
        if self.mute:
            raise Later("the controller does not answer")
        return super().capacity()


def test_a_gang_waits_for_nodes_only_while_they_are_known(world: World) -> None:
    engine = Mute(lambda: world.now, pools=(STATE,))
    agent = world.agent(engine=engine, sighting_every_s=1)
    world.go(agent, steps=4)
    assert world.store.statuses()[SITE].pool("main") == STATE
    gang = world.submit("sleep 60", num_nodes=2)
    world.go(agent, steps=4)
    assert (world.job(gang).attempts, world.job(gang).waiting_code) == ((), "scattered")
    engine.mute = True
    world.go(agent, steps=8)
    told = world.store.statuses()[SITE].pool("main")
    assert told is not None
    assert (told.spread, told.cards_elsewhere) == (None, 496), "how many are held by others is as it was"
    assert len(world.job(gang).attempts) == 1
