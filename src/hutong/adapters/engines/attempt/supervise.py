"""The supervisor of one attempt: it alone starts the ranks, and writes down how they ended.

One process per attempt, outliving the agent that asked for it. It holds the folder's lock all its
life, so "is it alive?" is asked of the lock and never of a process number. Secrets come by its
standard input. Standard library only: it is started without any installed package.

    python -I -S supervise.py FOLDER < {"secrets": {...}, "complete": true}

It ends with 0 once the attempt has begun, 75 if it began before or another holds the lock.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import box, files, tap, tree
from hutong.adapters.engines.attempt.clock import AwakeClock
from hutong.adapters.engines.attempt.environment import environment
from hutong.adapters.engines.attempt.gang import Exit, Gang, Start
from hutong.adapters.engines.attempt.launch import HERE, Launcher, last_words, met
from hutong.adapters.engines.attempt.plain import GAP_S, SAME_HAND_S, Plain, now_ms
from hutong.adapters.engines.attempt.subreaper import adopt_orphans
from hutong.adapters.engines.attempt.summons import Summons
from hutong.adapters.engines.attempt.verdict import Verdict as Verdict
from hutong.adapters.engines.attempt.verdict import of_rank
from hutong.adapters.engines.attempt.verdict import stop_verdict as stop_verdict

BUSY = 75
INCOMPLETE = 76
FAILED = 70
_TICK_S = 0.1
_BEAT_S = 2.0


class Supervision:
    """One attempt from staging to its end, or from where the first seconds of a plain one have left it."""

    def __init__(
        self,
        folder: Path,
        order: dict[str, Any],
        secrets: dict[str, str],
        launcher: Launcher = HERE,
        begun: Plain | None = None,
    ) -> None:
        self._folder = folder
        self._order = order
        self._spec: dict[str, Any] = order["spec"]
        self._config: dict[str, Any] = order["config"]
        self._secrets = secrets
        self._launcher = launcher
        self._mounts: tuple[tuple[str, str], ...] = ()
        self._signalled = ""
        self._taken = ""
        self._begun = begun
        self._clock = begun.clock if begun else AwakeClock(GAP_S) if launcher.watched else AwakeClock()
        self._pulse = 2 if begun else 0
        self._devices: list[dict[str, str]] = []
        self._hosts: tuple[str, ...] = ()
        self._started_ms = 0
        self._ran_ms = 0
        self._ooms = begun.ooms if begun else tree.oom_kills()
        self._summons = Summons(folder, order, launcher)
        needles = tap.needles(secrets.values())
        most = self._config["log_most_bytes"]
        self._gang = Gang(lambda log: tap.Tap(log, needles, most), self._note_exit, launcher.tell)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heed)
        if begun and begun.signalled:
            self._signalled = signal.SIGTERM.name

    def run(self) -> None:
        """Carry the attempt through and write its end; whatever happens, nothing of it goes on running.

        A batch system that has it ended (its time limit, a drain, a preemption) knows why, and we do not:
        then no end is written, and the engine tells it from what the batch system says.
        """
        begun = self._begun
        began_ms = begun.began_ms if begun else now_ms()
        verdict: Verdict | None
        try:
            if begun and begun.pid:
                verdict = self._go_on(begun)
            else:
                verdict = self._stopped() or self._prepare() or self._work()
            verdict = self._taken_away() if self._taken else self._left_to_others(verdict)
        except OSError as error:
            verdict = Verdict("FAILED", "infra", f"the attempt could not be carried on: {error}")
        gone = self._gang.end(0)
        if not self._launcher.here:
            # Ranks on this node are not below us; their launchers may have lost them.
            gone = tree.end_all(lambda: tree.carrying(self._order["key"]), lambda: None) and gone
        if not gone:
            _say("a process of this attempt does not die: it waits for a device or a file system")
        self._gang.close()
        if verdict is None:
            files.create_json(self._folder / files.LEFT, {"ran_ms": self._ran_ms, "at_ms": now_ms()})
            return
        times_ms = (began_ms, self._started_ms, now_ms())
        end = files.end_record(self._order, verdict, times_ms, self._ran_ms, self._gang.ends())
        files.create_json(self._folder / files.END, end)

    def _ask_back(self, *, well: bool = False) -> None:
        """Note whether the batch system is ending the job, as ranks end and before we end what is left.

        Its signals come to the ranks too, perhaps sooner than here, and a rank may heed one by ending well.
        A rank here gets them with us: if none came and all is well, nobody is asked.
        """
        if not self._launcher.watched:
            return
        if self._launcher.here:
            time.sleep(SAME_HAND_S)
            if well and not self._signalled:
                return
        self._taken = self._launcher.taken() or ("ending" if self._signalled else "")

    def _taken_away(self) -> Verdict | None:
        """Return the end of a job that the batch system took; None where only that knows why."""
        if self._taken == "preempted":
            return Verdict("PREEMPTED", "preempted", "the batch system preempted it")
        return None

    def _left_to_others(self, verdict: Verdict) -> Verdict | None:
        """Return the verdict, or None where it is for the batch system to say why a node was lost."""
        if not self._launcher.judged or verdict.category != "infra":
            return verdict
        faults = (files.fault_name(rank) for rank in range(self._spec["num_nodes"]))
        told = bool(self._signalled) or any((self._folder / name).exists() for name in faults)
        return None if told else verdict

    def _prepare(self) -> Verdict | None:
        work = self._folder / files.WORK
        for path in (work, self._folder / files.TEMP):
            path.mkdir(exist_ok=True)
        try:
            files.inside(work, self._spec["outputs"] or "outputs").mkdir(parents=True, exist_ok=True)
        except ValueError as error:
            return Verdict("FAILED", "user", f"outputs: {error}")
        box.write_hosts(self._folder / "hosts", self._spec["network"])
        if self._config["note"]:
            log = self._folder / files.log_name(0)
            self._gang.sink(0, log).write(files.our_line(self._config["note"]))
        deadline = self._deadline()
        if self._order["staged"]:
            script = Path(__file__).resolve().with_name("unpack.py")
            argv = [sys.executable, "-I", "-S", str(script), str(self._folder)]
            self._launch(-1, argv, {"HUTONG_KEY": self._order["key"]}, boxed=False)
            verdict = self._watch({-1}, deadline) or self._staged()
            if verdict is not None:
                return verdict
        if self._config["boxed"] and not self._spec["network"] and not self._launcher.watched:
            box.leave_network()
        if self._spec["setup"]:
            self._run(-1, self._spec["setup"], self._ports())
            verdict = self._watch({-1}, deadline)
            code = self._gang.exits[-1].code if -1 in self._gang.exits else 0
            if verdict is None and code:
                return Verdict("FAILED", "user", f"setup failed with exit code {code}")
            return verdict
        return None

    def _staged(self) -> Verdict | None:
        result = files.read_json(self._folder / files.STAGED)
        if result is None:
            code = self._gang.exits[-1].code
            return Verdict("FAILED", "infra", f"staging of the inputs failed with exit code {code}")
        if "problem" in result:
            return Verdict("FAILED", "user", f"input: {result['problem']}")
        self._mounts = tuple((source, at) for source, at in result["mounts"])
        return None

    def _work(self) -> Verdict:
        nodes: int = self._spec["num_nodes"]
        verdict = self._meet(nodes)
        if verdict is not None:
            return verdict
        ports = self._ports()
        self._hosts = self._launcher.hosts(nodes, self._folder)
        self._started_ms = now_ms()
        begin = self._clock.now()
        for rank in range(nodes):
            self._run(rank, self._spec["run"], ports)
        files.write_started(self._folder, self._started_ms, ports[0], self._hosts)
        return self._attend(begin, self._deadline())

    def _go_on(self, begun: Plain) -> Verdict:
        """Take over a rank that runs, or has just ended."""
        self._started_ms = begun.started_ms
        self._summons.note(0, begun.view, begun.env)
        self._gang.adopt(0, begun.pid, begun.output, self._folder / files.log_name(0))
        if begun.code >= 0:
            self._gang.exits[0] = Exit(0, begun.code, 0, begun.ended_ms)
            self._note_exit(self._gang.exits[0])
        files.write_started(self._folder, self._started_ms, 0, ())
        limit = self._spec["max_duration_s"]
        return self._attend(begun.begin, begun.begin + limit if limit else None)

    def _attend(self, begin: float, deadline: float | None) -> Verdict:
        """Stay with the ranks, which have run since `begin`, to their end."""
        try:
            verdict = self._watch(set(range(self._spec["num_nodes"])), deadline, begin)
        finally:
            self._ran_ms = int((self._clock.now() - begin) * 1000)
            self._beat(self._ran_ms)
        return verdict or Verdict("SUCCEEDED", "none", "")

    def _meet(self, nodes: int) -> Verdict | None:
        """Wait for the followers of all ranks; None if they are there."""
        late = time.monotonic() + self._launcher.meet_s
        while self._launcher.follows and len(met(self._folder, nodes)) < nodes:
            if time.monotonic() > late:
                there = len(met(self._folder, nodes))
                return Verdict("FAILED", "infra", f"{there} of {nodes} nodes came up in time")
            verdict = self._told_to_stop(time.monotonic(), None)
            if verdict is not None:
                return verdict
            self._gang.pump(_TICK_S)
        return None

    def _watch(self, ranks: set[int], deadline: float | None, begin: float | None = None) -> Verdict | None:
        """Wait for these ranks; None if all ended well (for setup: ended), else how it came to an end."""
        next_beat = 0.0
        self._clock.start()
        while True:
            now = self._clock.tick()
            if now >= next_beat:
                self._beat(0 if begin is None else int((now - begin) * 1000))
                next_beat = now + _BEAT_S
            exits = [self._gang.exits[rank] for rank in sorted(ranks & self._gang.exits.keys())]
            failed = [each for each in exits if each.code]
            if failed or len(exits) == len(ranks):
                self._ask_back(well=not failed)
            if begin is not None and failed:
                return self._fail(min(failed, key=lambda each: (each.ended_ms, each.rank)))
            if len(exits) == len(ranks):
                return None
            verdict = self._told_to_stop(now, deadline)
            if verdict is not None:
                self._gang.end(self._grace())
                return verdict
            self._summons.heed()
            self._gang.pump(_TICK_S)

    def _beat(self, elapsed_ms: int) -> None:
        self._pulse += 1
        # A beat that cannot be written now is no reason to end the job.
        with contextlib.suppress(OSError):
            files.write_beat(self._folder, elapsed_ms, self._pulse)

    def _stopped(self) -> Verdict | None:
        stop = files.read_json(self._folder / files.STOP)
        return stop_verdict(stop) if stop is not None else None

    def _told_to_stop(self, now: float, deadline: float | None) -> Verdict | None:
        verdict = self._stopped()
        if verdict is None and self._signalled:
            self._ask_back()
            verdict = Verdict("FAILED", "infra", f"the supervisor was told to end by {self._signalled}")
        if verdict is None and (self._folder / files.END).exists():
            verdict = Verdict("FAILED", "infra", "the attempt was given up")
        if verdict is None and deadline is not None and now >= deadline:
            limit = self._spec["max_duration_s"]
            verdict = Verdict("FAILED", "user", f"walltime: it ran longer than max_duration, {limit} s")
        return verdict

    def _fail(self, first: Exit) -> Verdict:
        stop = files.read_json(self._folder / files.STOP)
        fault = files.read_json(self._folder / files.fault_name(first.rank))
        if fault is not None:
            self._gang.end(self._grace())
            return stop_verdict(stop) if stop else Verdict("FAILED", fault["category"], fault["reason"])
        words = "" if self._launcher.here else last_words(self._folder)
        starved = bool(self._launcher.oom and re.search(self._launcher.oom, words))
        starved = starved or tree.oom_kills() > self._ooms
        self._gang.end(self._grace() if self._spec["num_nodes"] > 1 else 0)
        return of_rank(first, starved, words)

    def _grace(self) -> float:
        stop = files.read_json(self._folder / files.STOP) or {}
        return float(stop.get("grace_s", self._spec["grace_s"]))

    def _deadline(self) -> float | None:
        limit: int = self._spec["max_duration_s"]
        return self._clock.now() + limit if limit else None

    def _ports(self) -> tuple[int, int]:
        service = box.free_port(self._spec["ports"]) if self._spec["listens"] else 0
        return service, box.free_port()

    def _run(self, rank: int, script: str, ports: tuple[int, int]) -> None:
        base = self._launcher.base()
        env = environment(self._order, self._folder, max(rank, 0), ports, self._secrets, self._hosts, base)
        argv = ["/bin/bash", "-c", script]
        far = rank >= 0 and not self._launcher.here
        shared = self._spec["network"] or not self._launcher.watched
        boxed: bool = self._config["boxed"]
        view = None
        if boxed:
            alone = not shared and (rank < 0 or self._spec["num_nodes"] == 1)
            view = box.view_of(self._order, self._folder, self._mounts, alone=alone)
            argv = box.boxed(view, box.hearing_term(argv))
        env |= self._visible()[max(rank, 0)] if self._launcher.visible else {}
        self._summons.note(rank, view, env)
        if far:
            told = None if self._launcher.follows else self._folder / files.code_name(rank)
            argv = self._launcher.far(rank, argv, told)
        env = self._launcher.inherit(env) if rank >= 0 else env
        self._launch(rank, argv, env, boxed=boxed, far=far)

    def _visible(self) -> list[dict[str, str]]:
        self._devices = self._devices or self._launcher.devices()
        return self._devices

    def _launch(
        self, rank: int, argv: list[str], env: dict[str, str], *, boxed: bool, far: bool = False
    ) -> None:
        log = self._folder / files.log_name(rank)
        limits: dict[str, int] = self._config["limits"]
        work = self._folder / files.WORK
        says = self._folder / files.NOTES if far else None
        told = self._folder / files.code_name(rank) if far and not self._launcher.follows else None
        self._gang.launch(Start(rank, argv, env, work, log, limits, boxed, says, told))

    def _note_exit(self, ended: Exit) -> None:
        if ended.rank >= 0:
            value = {name: getattr(ended, name) for name in ("rank", "code", "signal", "ended_ms")}
            files.write_json(self._folder / files.exit_name(ended.rank), value)

    def _heed(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._signalled = signal.Signals(number).name


def begin(folder: Path, text: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Take the lock and write that the attempt has begun: from here on it is never started again.

    Returns 0, the order and the secrets, or another exit code where it must not or cannot begin.
    """
    try:
        given = json.loads(text)
    except ValueError:
        given = {}
    if given.get("complete") is not True:
        return INCOMPLETE, {}, {}
    if files.take_lock(folder) is None:
        return BUSY, {}, {}
    if any((folder / name).exists() for name in (files.BEGAN, files.STOP, files.END)):
        return BUSY, {}, {}
    order = files.read_json(folder / files.ORDER)
    if order is None:
        return FAILED, {}, {}
    adopt_orphans()
    files.write_json(folder / files.BEGAN, {"pid": os.getpid(), "began_ms": now_ms()})
    return 0, order, given["secrets"]


def main() -> int:
    """Begin, tell the caller by the exit code of this process, and go on in a child of nobody's."""
    folder = Path(sys.argv[1])
    text = sys.stdin.buffer.read()
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(theirs)
        answer = os.read(ours, 1)
        os._exit(answer[0] if answer else FAILED)
    os.close(ours)
    os.setsid()
    try:
        code, order, secrets = begin(folder, text)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.write(theirs, bytes([code]))
        os.close(theirs)
        if code == 0:
            Supervision(folder, order, secrets).run()
    except Exception:  # noqa: BLE001  (the last one to see it: it goes into the attempt's own notes)
        import traceback  # not before it is needed: each job pays for what its supervisor imports

        _say(traceback.format_exc())
        return FAILED
    return 0


def _say(text: str) -> None:
    os.write(2, text.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
