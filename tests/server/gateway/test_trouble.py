"""When things break: the store stays away, the gateway is killed. No hold stays, nobody pays twice."""

import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.server.serving import YUAN, World, serve, wait_for

from hutong.core.book.money import Posting
from hutong.core.kernel.errors import Later
from hutong.server.gateway.app import make_gateway
from hutong.server.gateway.purse import STALE_MS, Purse

ASK: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "Say five words."}]}


@dataclass
class Trouble:
    """The real store, with a wire that a test can cut: writes fail, or are done and their answer is lost."""

    real: Any
    failures: int = 0
    answers_lost: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def post(self, posting: Posting) -> bool:
        if posting.usage and self.failures:
            self.failures -= 1
            raise Later("the store is away")
        done = bool(self.real.post(posting))
        if posting.usage and self.answers_lost:
            self.answers_lost -= 1
            raise Later("the answer was lost")
        return done


@pytest.mark.parametrize("trouble", [{"failures": 3}, {"answers_lost": 2}])
def test_a_store_that_stays_away_is_told_later_and_once(served: World, trouble: dict[str, int]) -> None:
    services = replace(served.platform.services, store=Trouble(served.store, **trouble))
    with serve(make_gateway(services)) as served.gateway_port:
        chunks = list(served.client().chat.completions.create(**ASK, stream=True))
        assert len(chunks) == 7
        usage = served.settled(1)
        assert {each.unit: each.quantity for each in usage} == {"token_in": 7, "token_out": 5}
        wait_for(lambda: services.store.failures == 0)


def test_a_model_that_costs_nothing_is_metered_once_too(world: World) -> None:
    world.award(1_000 * YUAN)
    world.register(world.train())
    world.deploy(price_in="0", price_out="0")
    services = replace(world.platform.services, store=Trouble(world.store, answers_lost=1))
    with serve(make_gateway(services)) as world.gateway_port:
        world.client().chat.completions.create(**ASK)
    usage = world.settled(1)
    assert [(each.quantity, each.charge_micro) for each in usage] == [(7, 0), (5, 0)]


def test_a_gateway_that_stops_writes_what_it_still_owes(served: World) -> None:
    services = replace(served.platform.services, store=Trouble(served.store, failures=2))
    with serve(make_gateway(services)) as served.gateway_port:
        served.client().chat.completions.create(**ASK)
    assert len(served.settled(1)) == 2


def test_a_killed_gateway_leaves_a_hold_that_is_let_go_later(served: World) -> None:
    services = served.platform.services
    served.upstream.gate = threading.Event()
    program = Path(sys.executable).parent / "hutong"
    command = [str(program), "serve", "gateway", "--data", str(services.settings.data), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://127.0.0.1:" in line)
        served.gateway_port = int(line.rpartition("127.0.0.1:")[2].split("/")[0].split()[0])
        stream = served.client().chat.completions.create(**ASK, stream=True)
        got = [chunk.choices[0].delta.content for _, chunk in zip(range(3), stream, strict=False)]
        assert got == ["", "word ", "word "]
        assert len(served.gateway_holds()) == 1
        process.kill()
        with pytest.raises((httpx2.TransportError, openai.APIError)):
            list(stream)
    finally:
        process.kill()
        process.wait(60)
        process.communicate()
    (lot,) = served.store.lots("physics")
    purse = Purse(services.store, services.clock, services.new_id)
    assert purse.sweep() == 0
    served.platform.clock.ahead_ms += STALE_MS + 1000
    assert purse.sweep() == 1
    assert served.gateway_holds() == []
    (after,) = served.store.lots("physics")
    assert after.available_micro > lot.available_micro
    assert served.settled(0) == []
