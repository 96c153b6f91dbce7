"""Runs the demonstration; exit code 0 only if every point held."""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from examples.demo import processes, story
from examples.demo.stage import Stage, Untrue, expect

from hutong.core.kernel.errors import HutongError
from hutong.up import payload_bin

FORTUNES = Path("/usr/share/games/fortunes/chinese")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make demo", description="One job, all the way, on this machine.")
    parser.add_argument(
        "--corpus", choices=("stdlib", "zh"), default="stdlib", help="what the model is trained on"
    )
    parser.add_argument("--data", type=Path, help="the data folder; else a new one below ./data")
    options = parser.parse_args()
    if options.corpus == "zh" and not FORTUNES.exists():
        parser.error("--corpus zh needs the Debian package fortunes-zh: apt-get install fortunes-zh")
    if not (payload_bin() / "torchrun").is_file():
        parser.error(f"the software that jobs need is not in {payload_bin()}: run `make payload`")
    return options


def play(tale: story.Story) -> None:
    """Take the steps in order."""
    step = tale.stage.step
    with step(1, "a platform with three sites"):
        story.show_sites(tale)
    with step(2, "an institution, a project, an award and a voucher, through the API"):
        story.open_accounts(tale)
    with step(3, "submit a two-node training"):
        story.submit(tale)
    with step(4, "the receipt: why there, why not elsewhere"):
        story.explain(tale)
    with step(5, "train, and kill the site's agent in the middle"):
        story.train_and_kill(tale)
    with step(6, "register, deploy and ask the model"):
        story.serve(tale)
    with step(7, "the bill"):
        story.account(tale)


def close(platform: processes.Platform, stage: Stage) -> None:
    """Step 8: stop everything; nothing but the data folder is left."""
    processes.stop(platform)
    left = processes.ours(platform.data)
    expect(not left, f"processes were left: {left}")
    stage.show(f"all stopped; no process is left, only {platform.data}")


def main() -> int:
    """Run from the command line."""
    options, stage = parse_options(), Stage()
    data = options.data or Path("data") / time.strftime("demo-%Y%m%d-%H%M%S")
    data = data.resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    platform = processes.start(data)
    code = 0
    try:
        play(story.Story(stage, platform, options.corpus))
    except KeyboardInterrupt:
        code = 130
        stage.say("\ninterrupted: stopping everything", "yellow")
    except (Untrue, HutongError) as error:
        code = 1
        stage.say(f"\n✘ {error}", "bold red")
        stage.say(f"logs are in {data}/logs and {data}/up.log")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what follows is bounded and must not be cut off
        try:
            with stage.step(8, "stop everything"):
                close(platform, stage)
        except Untrue as error:
            code = code or 1
            stage.say(f"✘ {error}", "bold red")
    if code == 0:
        stage.times()
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
