"""The supervisor as a batch system starts it: on a node, later than asked for, and perhaps twice.

Whoever writes that the attempt has begun carries it out; a second copy, after a requeue or a controller
that forgot, leaves at once. Standard library only.

    python -I -S batch.py FOLDER
"""

import json
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.launch import read_launcher
from hutong.adapters.engines.attempt.subreaper import adopt_orphans, go_on_guarded
from hutong.adapters.engines.attempt.supervise import Supervision

FENCED = 77
FAILED = 70


def main() -> int:
    """Carry the attempt out if it is ours to carry out; 77 if another copy began it."""
    folder = Path(sys.argv[1])
    order = files.read_json(folder / files.ORDER)
    if order is None:
        sys.stderr.write(f"{folder} holds no order\n")
        return FAILED
    if any((folder / name).exists() for name in (files.STOP, files.END)):
        return 0
    go_on_guarded()
    if order["launcher"].get("apart"):
        os.setsid()  # who kills the guard's process group must not kill us too: nobody would end the ranks
    identity = "/".join(os.environ.get(name, "") for name in order["launcher"].get("identity", ()))
    began = {"pid": os.getpid(), "began_ms": time.time_ns() // 1_000_000, "identity": identity}
    if not files.create_json(folder / files.BEGAN, began):
        first = (files.read_json(folder / files.BEGAN) or {}).get("identity", "")
        sys.stderr.write(f"the attempt began before, as {first}: {identity} does not start it again\n")
        return FENCED
    secrets = files.read_json(folder / files.SECRETS) or {}
    (folder / files.SECRETS).unlink(missing_ok=True)
    # Whoever stops an attempt writes that down and then looks whether it began; we do it the other way round.
    files.look_afresh(folder)
    if (folder / files.END).exists():
        return 0
    adopt_orphans()
    with (folder / files.NOTES).open("ab") as notes:
        os.dup2(notes.fileno(), 2)
    try:
        Supervision(folder, order, secrets, read_launcher(order["launcher"])).run()
    except Exception:  # noqa: BLE001  (the last one to see it: it goes into the attempt's own notes)
        import traceback  # not before it is needed: each job pays for what its supervisor imports

        sys.stderr.write(traceback.format_exc())
        return FAILED
    end = files.read_json(folder / files.END)
    if end is None:  # why it ended is for the batch system to say
        return 1
    sys.stdout.write(json.dumps(end) + "\n")
    return 0 if end["outcome"] == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
