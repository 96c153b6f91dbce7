"""Trains a small Llama-architecture language model from scratch on real text, alone or as ranks of torchrun.

The job's cards are declared: the work itself runs here on CPU, one thread for each rank, and its speed says
nothing of any card. Ranks average gradients over gloo. Rank 0 builds the corpus, keeps the checkpoints,
reports one JSON object a line, and at the end writes the model as safetensors with its lineage.

A run that was stopped, or killed, goes on from its last checkpoint as if nothing had happened: the data of a
step depends only on the step and the rank. SIGTERM saves a checkpoint and ends with exit code 143.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import torch
from ranks import Fatal, Team, find_place, follow_torchrun
from report import Reporter, say, speak
from run import Run

# What a rank may wish for instead of a step; exact in binary, so that sums over ranks stay apart.
GO_ON, END_EARLY, STOP = 0.0, 2.0**-10, 1.0


def parse_options() -> argparse.Namespace:
    """Read and check the command line; exits with code 2 and the name of a wrong option."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", choices=("stdlib", "zh"), default="stdlib")
    parser.add_argument("--corpus-dir", type=Path, default=Path("corpus"))
    parser.add_argument("--megabytes", type=float, default=3.0, help="upper bound of text")
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=400, help="where the learning rate reaches zero")
    parser.add_argument("--seconds", type=float, default=0.0, help="end early after this long (0: never)")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--ctx", type=int, default=64, help="tokens of a sequence")
    parser.add_argument("--batch", type=int, default=8, help="sequences for each rank and step")
    parser.add_argument("--rate", type=float, default=5e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-every", type=int, default=50, help="steps (0: only at the end)")
    parser.add_argument(
        "--checkpoints", type=Path, default=Path(os.environ.get("HUTONG_CHECKPOINTS", "checkpoints"))
    )
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("HUTONG_OUTPUTS", "outputs")))
    options = parser.parse_args()
    for name in ("steps", "layers", "batch", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: {getattr(options, name)} is less than 1")
    if options.dim < 32 or options.dim % 32:
        parser.error(f"--dim: {options.dim} is not a multiple of 32, the width of a head")
    if not 512 <= options.vocab <= 65_535:
        parser.error(f"--vocab: {options.vocab} is not between 512 and 65535")
    if not 8 <= options.ctx <= 2_048:
        parser.error(f"--ctx: {options.ctx} is not between 8 and 2048")
    return options


def train(run: Run, signals: list[int]) -> int:
    """Step until the end, a stop or the loss of a rank; return the exit code."""
    options, place = run.options, run.team.place
    reporter = Reporter(run)
    if place.leads:
        reporter.open()
    else:
        speak(f"rank {place.rank} of {place.world} starts at step {run.step}; rank 0 reports")
    try:
        while run.step < options.steps:
            late = place.leads and 0 < options.seconds <= reporter.elapsed_s
            loss, wished = run.advance(STOP if signals else END_EARLY if late else GO_ON)
            if wished >= STOP:
                return stop(run, signals)
            if wished:
                break
            if place.leads:
                reporter.note(loss)
                if options.checkpoint_every and run.step % options.checkpoint_every == 0:
                    run.save()
    except Fatal:
        if place.leads:
            run.save()
            speak(f"saved step {run.step} before giving up")
        raise
    if place.leads:
        run.save()
        reporter.close(run.export(reporter.elapsed_s))
    speak(f"rank {place.rank} ends at step {run.step}")
    return 0


def stop(run: Run, signals: list[int]) -> int:
    """Save and say so; return the exit code that a signal means."""
    number = signals[0] if signals else int(signal.SIGTERM)
    if run.team.place.leads:
        run.save()
        say("stopped", step=run.step, validation_loss=run.validation_loss, signal=number)
    speak(f"rank {run.team.place.rank} stops at step {run.step} on signal {number}")
    return 128 + number


def main() -> int:
    """Run from the command line."""
    options = parse_options()
    signals: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    follow_torchrun()
    torch.set_num_threads(options.threads)
    try:
        team = Team(find_place())
        run = Run(options, team)
        # Until here a signal ends us at once, also while we wait for another node: there is nothing to save.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, remember)
        code = train(run, signals)
        team.part()
    except Fatal as error:
        print(f"train: {error}", file=sys.stderr, flush=True)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
