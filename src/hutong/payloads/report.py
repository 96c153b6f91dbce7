"""What rank 0 of a training tells: JSON lines for programs, and now and then a line for people."""

import json
import os
import time
from pathlib import Path

from run import Run

REPORT_EVERY_S, SPEAK_EVERY_S = 0.5, 5.0


def say(kind: str, **fields: object) -> None:
    """Print one JSON object as one line; the key `hutong` names its kind."""
    print(json.dumps({"hutong": kind, **fields}, ensure_ascii=False), flush=True)


def speak(text: str) -> None:
    """Print one line for a person."""
    print(text, flush=True)


def process_age_s() -> float:
    """Return the seconds since the kernel started this process, the imports included."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


class Reporter:
    """What rank 0 tells while it trains, at most twice a second for programs and every 5 s for people."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.began_s = self.reported_s = self.spoken_s = time.monotonic()
        self.losses: list[float] = []

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step of this process."""
        return time.monotonic() - self.began_s

    @property
    def tokens(self) -> int:
        """Tokens trained on by all ranks since then."""
        options, world = self.run.options, self.run.team.place.world
        return (self.run.step - self.run.start_step) * options.batch * options.ctx * world

    def open(self) -> None:
        """Say what is about to be trained."""
        run, options = self.run, self.run.options
        say(
            "start",
            parameters=run.model.shape.parameters,
            world=run.team.place.world,
            threads=options.threads,
            device="cpu",
            corpus=run.corpus.name,
            corpus_tokens=run.corpus.tokens,
            step=run.step,
            steps=options.steps,
            resumed=run.resumed,
            validation_loss=run.validation_loss,
            **({"saved_validation_loss": run.saved_loss} if run.resumed else {}),
            start_up_s=round(process_age_s(), 2),
        )
        speak(
            f"{run.model.shape.parameters:,} parameters from scratch on {run.corpus.tokens:,} tokens of "
            f"{run.corpus.source}, {run.team.place.world} rank(s) on CPU: cards are declared, no card is used"
        )
        if run.resumed:
            speak(f"resumed at step {run.step}, validation loss {run.validation_loss:.4f}")

    def note(self, loss: float) -> None:
        """Take in the loss of a step, and report if it is time."""
        self.losses.append(loss)
        now, run, last = time.monotonic(), self.run, self.run.step == self.run.options.steps
        if now - self.reported_s >= REPORT_EVERY_S or last:
            self.reported_s = now
            mean = sum(self.losses) / len(self.losses)
            self.losses.clear()
            rate = self.tokens / max(self.elapsed_s, 1e-9)
            say(
                "progress",
                step=run.step,
                steps=run.options.steps,
                loss=round(mean, 4),
                tokens_per_s=round(rate),
                elapsed_s=round(self.elapsed_s, 1),
            )
            if now - self.spoken_s >= SPEAK_EVERY_S or last:
                self.spoken_s = now
                speak(f"step {run.step}/{run.options.steps}  loss {mean:.3f}  {rate:,.0f} tokens/s")

    def close(self, folder: Path) -> None:
        """Say what came out."""
        run, seconds = self.run, self.elapsed_s
        say(
            "result",
            loss_before=round(run.loss_before, 4),
            loss_after=round(run.validation_loss, 4),
            step=run.step,
            tokens=self.tokens,
            seconds=round(seconds, 2),
            tokens_per_s=round(self.tokens / max(seconds, 1e-9)),
            start_up_s=round(process_age_s() - seconds, 2),
            parameters=run.model.shape.parameters,
            world=run.team.place.world,
            device="cpu",
            corpus_sha256=run.corpus.sha256,
            model=folder.name,
        )
