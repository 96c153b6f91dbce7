"""Runs AccaSim itself on a trace, in a Python that has it (`.venv-accasim`), and prints what it did.

`run_accasim.py FIFO|SJF|EASY TRACE.swf PROCESSORS FOLDER` prints one JSON object: the wait of each job, seconds, by
its number in the trace, and the CPU seconds of the simulation. What AccaSim writes goes to FOLDER.
"""

import collections
import collections.abc
import json
import sys
import time
from pathlib import Path

# AccaSim 1.1.3 imports this from where it was up to Python 3.9.
collections.Mapping = collections.abc.Mapping

from accasim.base.allocator_class import FirstFit  # noqa: E402
from accasim.base.event_class import EventManager  # noqa: E402
from accasim.base.scheduler_class import EASYBackfilling, FirstInFirstOut, ShortestJobFirst  # noqa: E402
from accasim.base.simulator_class import Simulator  # noqa: E402

POLICIES = {"FIFO": FirstInFirstOut, "SJF": ShortestJobFirst, "EASY": EASYBackfilling}


def main(policy: str, trace: str, processors: str, folder: str) -> None:
    """Run one policy to the trace's end."""
    waits = {}
    finish = EventManager.finish_event

    def finish_and_note(self: EventManager, event: object) -> None:
        finish(self, event)
        waits[int(event.id)] = event.waiting_time

    EventManager.finish_event = finish_and_note
    config = Path(folder, "system.json")
    machine = {"groups": {"all": {"core": int(processors)}}, "resources": {"all": 1}}
    config.write_text(json.dumps(machine), encoding="utf-8")
    simulator = Simulator(
        trace, str(config), POLICIES[policy](FirstFit()),
        scheduling_output=False, statistics_output=False, show_statistics=False, RESULTS_FOLDER_PATH=folder,
    )  # fmt: skip
    began = time.process_time()
    simulator.start_simulation()
    print()
    print(json.dumps({"waits": waits, "cpu_s": time.process_time() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
