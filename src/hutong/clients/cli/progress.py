"""The live view of a running job: its state, and a bar where the job reports progress."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from hutong.clients.cli.show_jobs import moving
from hutong.clients.cli.terminal import state
from hutong.clients.cli.watch import LogLine
from hutong.wire.jobs import Fact, Moving

SPEAK_EVERY_S = 8.0  # where the job itself has said nothing for people meanwhile
_STATES = {
    "submitted": "ACCEPTED",
    "queued": "QUEUED",
    "placed": "PLACED",
    "dispatched": "DISPATCHED",
    "accepted": "PENDING",
    "starting": "STARTING",
    "started": "RUNNING",
    "ended": "FINISHING",
}


@dataclass(slots=True)
class Seen:
    """What was seen of a job so far. `progress` and `result` are the last lines of those kinds."""

    state: str = "ACCEPTED"
    where: str = ""
    attempts: int = 0
    adopted: bool = False
    waiting: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    def note(self, item: Fact | LogLine | Moving) -> str:
        """Take in what came; return the line that a person should see of it, empty if none."""
        if isinstance(item, Moving):
            return moving(item)
        return self._note_line(item.text) if isinstance(item, LogLine) else self._note_fact(item)

    def _note_fact(self, fact: Fact) -> str:
        data = fact.data
        self.state = (
            str(data.get("state", "")) if fact.kind == "finished" else _STATES.get(fact.kind, self.state)
        )
        match fact.kind:
            case "placed":
                self.attempts, self.waiting = int(data["attempt"]), ""
                cards = f"{data['cards']} × {data['accelerator']} on {data['nodes']} node(s)"
                self.where = f"{data['site']}/{data['pool']}, {cards}"
                return f"placed at {self.where}"
            case "waiting":
                self.waiting = str(data.get("text", ""))
                return f"waiting: {self.waiting}"
            case "accepted":
                self.adopted = bool(data.get("adopted"))
                return "adopted at the site" if self.adopted else "accepted at the site"
            case "started":
                return "running"
            case "ended":
                reason = f": {data['reason']}" if data.get("reason") else ""
                return f"attempt {data['attempt']} ended: {data['outcome']}{reason}"
            case "finished":
                reason = f": {data['reason']}" if data.get("reason") else ""
                return f"{self.state}{reason}"
            case "cancel_asked" | "hold_asked" | "released":
                return f"{fact.kind.replace('_', ' ')} by {data.get('by', '')}"
        return ""

    def _note_line(self, line: str) -> str:
        if not line.startswith('{"hutong"'):
            return line
        try:
            report = json.loads(line)
        except ValueError:
            return line
        match report.get("hutong"):
            case "progress":
                self.progress = report
            case "result":
                self.result = report
        return ""


def describe(progress: dict[str, Any]) -> str:
    """Return a progress report as a short text: loss and speed."""
    parts = []
    if isinstance(progress.get("loss"), int | float):
        parts.append(f"loss {progress['loss']:.3f}")
    if isinstance(progress.get("tokens_per_s"), int | float):
        parts.append(f"{progress['tokens_per_s']:,.0f} tokens/s")
    return "  ".join(parts)


class View:
    """Shows a job while it runs: a live region for a person's screen, plain lines for anything else."""

    def __init__(self, screen: Console, title: str) -> None:
        self.seen = Seen()
        self._screen = screen
        self._title = title
        self._spoken_s = 0.0
        self._bar = Progress(
            BarColumn(bar_width=28), TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
            TextColumn("{task.fields[detail]}"), TimeElapsedColumn(), console=screen,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._live = (
            Live(console=screen, refresh_per_second=4, transient=True) if screen.is_terminal else None
        )

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Print a line above the live region."""
        self._screen.print(Text(text, style), soft_wrap=True)

    def show(self, item: Fact | LogLine | Moving, *, quiet: bool = False) -> None:
        """Take in what came and show it; `quiet` leaves the job's own lines out."""
        before = self.seen.progress
        line = self.seen.note(item)
        if line and not (quiet and isinstance(item, LogLine)):
            self._spoken_s = time.monotonic()
            said = Text(line) if isinstance(item, LogLine) else Text(f"· {line}", "cyan")
            self._screen.print(said, soft_wrap=True)
        if self._live is not None:
            self._live.update(self._render())
        elif self.seen.progress is not before:
            self._speak()

    def _speak(self) -> None:
        progress, now_s = self.seen.progress, time.monotonic()
        done = progress.get("step") == progress.get("steps")
        if done or now_s - self._spoken_s >= SPEAK_EVERY_S:
            self._spoken_s = now_s
            self._screen.print(f"  step {progress.get('step')}/{progress.get('steps')}  {describe(progress)}")

    def _render(self) -> RenderableType:
        head = Text.assemble((self._title, "bold"), "  ", state(self.seen.state))
        if self.seen.where:
            head.append(f"  {self.seen.where}", "dim")
        progress = self.seen.progress
        if not isinstance(progress.get("step"), int) or not isinstance(progress.get("steps"), int):
            return head
        if self._task is None:
            self._task = self._bar.add_task("", total=progress["steps"], detail="")
        self._bar.update(self._task, completed=progress["step"], detail=describe(progress))
        return Group(head, self._bar)
