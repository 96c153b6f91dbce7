"""Hours of cards on their way to the platform: counted while seen, sealed, told until they are there."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.agent.scene import SITE, BadLine, World

from hutong.adapters.engines.base import Seen
from hutong.adapters.identity.signing import SigningKey
from hutong.agent.hours import Hours
from hutong.agent.link import Command
from hutong.core.book.sealed import PoolHour
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Later
from hutong.core.kernel.ids import AttemptKey, JobId, ProjectId
from hutong.core.work.facts import Ended
from hutong.core.work.fold import Attempt
from hutong.core.work.states import AttemptState, Category
from hutong.server.sealing import add_key, check_sealed

KEY = AttemptKey("ht-01jd0000000000000000000000-a1")
HOUR_MS = 3_600_000


@dataclass
class Counter:
    """Counts half of what each attempt may use."""

    totals: dict[AttemptKey, int] = field(default_factory=dict)
    counts: str = "a test's counter"

    def busy_ms(self, keys: Sequence[AttemptKey]) -> Mapping[AttemptKey, int]:
        return {key: self.totals.get(key, 0) for key in keys}


class Scene:
    """A site whose agent looks every half minute."""

    def __init__(self, folder: Path, *, counter: Counter | None = None, loss: float = 0.0) -> None:
        self.world = World(folder)
        self.world.now = self.world.now // HOUR_MS * HOUR_MS
        self.key = SigningKey.open(folder / "key")
        add_key(self.world.store, SITE, self.key.public, self.world.now)
        self.path, self.counter = folder / "hours.json", counter
        self.line: Any = BadLine(self.world.link, random.Random(1), loss) if loss else self.world.link
        self.hours = self.fresh()

    def fresh(self) -> Hours:
        return Hours(self.path, self.line, SITE, self.key, self.counter, lambda: self.world.now)

    def note(self, cards: int = 4) -> None:
        attempt = Attempt(1, SITE, "main", "H100", 1, cards, 1, 1200, 700, 0)
        command = Command(1, KEY, "start", ProjectId("lab"), JobId("j"), attempt)
        self.hours.note([command])

    def run(self, minutes: float, *live: AttemptKey, pools: Sequence[PoolState] = ()) -> bool:
        waits = False
        seen = [Seen(key, AttemptState.RUNNING, "x") for key in live]
        for _ in range(int(minutes * 2)):
            self.world.now += 30_000
            waits = self.hours.look(seen, pools)
        return waits

    def kept(self) -> tuple[PoolHour, ...]:
        return self.world.store.pool_hours(SITE, (0, 10**8), (-1, ""), 100)


def test_an_hour_is_counted_sealed_and_told(tmp_path: Path) -> None:
    counter = Counter()
    scene = Scene(tmp_path, counter=counter)
    scene.note()
    hour = scene.world.now // HOUR_MS
    scene.hours.look((), ())
    scene.run(30, KEY)
    counter.totals[KEY] = 90_000
    scene.run(30)
    assert scene.run(1)
    assert scene.hours.step() == 1
    (kept,) = scene.kept()
    assert (kept.hour, kept.pool, kept.cards, kept.seen_ms) == (hour, "main", 512, HOUR_MS)
    assert kept.up_card_ms == 512 * HOUR_MS
    assert kept.held_card_ms == 4 * HOUR_MS // 2
    assert (kept.busy_card_ms, kept.method) == (0, "a test's counter")
    found = check_sealed(scene.world.store, SITE)
    assert (found.reports, found.signed, found.faults) == (1, 1, ())


def test_what_is_busy_never_exceeds_what_is_held_and_a_counter_may_begin_anew(tmp_path: Path) -> None:
    counter = Counter()
    scene = Scene(tmp_path, counter=counter)
    scene.note()
    scene.hours.look((), ())
    scene.run(1, KEY)
    counter.totals[KEY] = 45_000
    scene.run(0.5, KEY)
    counter.totals[KEY] = 10
    scene.run(0.5, KEY)
    counter.totals[KEY] = 10**9
    scene.run(0.5, KEY)
    scene.run(60)
    scene.hours.step()
    assert scene.kept()[0].busy_card_ms == 45_000 + 4 * 30_000


def test_time_without_looks_or_with_unknown_attempts_is_not_seen(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.hours.look((), ())
    scene.run(10, KEY)  # nobody said how many cards it has
    scene.world.now += 20 * 60_000
    scene.run(32)
    scene.hours.step()
    assert scene.kept()[0].seen_ms == 29.5 * 60_000  # of the gap's first look nothing counts


def test_what_the_engine_says_of_its_pools_is_kept(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.hours.look((), ())
    scene.run(61, pools=(PoolState("main", 500, 12),))
    scene.hours.step()
    (kept,) = scene.kept()
    assert (kept.up_card_ms, kept.other_card_ms) == (500 * HOUR_MS, 12 * HOUR_MS)


def test_an_ended_attempt_is_forgotten_and_a_lost_file_costs_repeats_only(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.note()
    ended = Ended(1, Category.NONE, "", (), 1, 2, 1)
    scene.hours.look([replace(Seen(KEY, AttemptState.RUNNING, "x"), ended=ended)], ())
    scene.run(61)
    scene.hours.step()
    assert json.loads(scene.path.read_bytes())["cards"] == {}
    scene.path.write_text("[1, ")
    scene.hours = scene.fresh()
    scene.run(60)
    scene.hours.step()
    assert [each.hour for each in scene.kept()][1:] == [scene.world.now // HOUR_MS - 1]
    assert not check_sealed(scene.world.store, SITE).faults


def test_another_agent_that_sealed_in_between_is_gone_on_after(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.hours.look((), ())
    scene.run(61)
    scene.line.send_sealed, sent = (
        (lambda reports: (_ for _ in ()).throw(Later("down"))),
        scene.line.send_sealed,
    )
    with pytest.raises(Later):
        scene.hours.step()
    other = Hours(tmp_path / "other.json", scene.world.link, SITE, scene.key, None, lambda: scene.world.now)
    scene.line.send_sealed = sent
    other.look((), ())
    scene.world.now += 30_000
    other.look((), ())
    scene.world.now += HOUR_MS
    other.look((), ())
    other.step()
    assert scene.hours.step() == 0
    assert scene.hours.step() == 1
    found = check_sealed(scene.world.store, SITE)
    assert (found.reports, found.faults) == (2, ())


@given(kills=st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_killed_anywhere_on_a_bad_line_the_chain_is_whole(tmp_path_factory: Any, kills: list[int]) -> None:
    scene = Scene(tmp_path_factory.mktemp("hours"), loss=0.4)
    scene.note()
    scene.hours.look((), ())
    for at in range(200):
        scene.run(1, KEY)
        if at in kills:
            scene.hours = scene.fresh()
        try:
            scene.hours.step()
        except Later:
            continue
    scene.line.loss = 0.0
    while scene.hours.look((), ()) and scene.hours.step():
        scene.world.now += 1000
    found = check_sealed(scene.world.store, SITE)
    assert (found.reports, found.unsigned, found.faults) == (3, 0, ())
    # A kill costs the look in which it falls, and what was not written down of the last minute.
    assert sum(each.seen_ms for each in scene.kept()) >= 3 * HOUR_MS - 120_000 * (len(kills) + 1)
