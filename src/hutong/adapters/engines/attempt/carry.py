"""The supervisor as a batch system starts it by `batch.py`: on a node, late, and perhaps twice.

Whoever writes that the attempt has begun carries it out; a second copy, after a requeue or a controller
that forgot, leaves at once. Standard library only, and little of it: each job pays for what is imported here.
"""

import os
import sys

from hutong.adapters.engines.attempt import codec, files
from hutong.adapters.engines.attempt.plain import Plain, is_plain, now_ms
from hutong.adapters.engines.attempt.subreaper import adopt_orphans, go_on_guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FENCED = 77
FAILED = 70


def main() -> int:
    """Carry the attempt out if it is ours to carry out; 77 if another copy began it."""
    folder = sys.argv[1]
    order = files.read_json(f"{folder}/{files.ORDER}")
    if order is None:
        sys.stderr.write(f"{folder} holds no order\n")
        return FAILED
    if any(os.path.exists(f"{folder}/{name}") for name in (files.STOP, files.END)):
        return 0
    go_on_guarded()
    if order["launcher"].get("apart"):
        os.setsid()  # who kills the guard's process group must not kill us too: nobody would end the ranks
    identity = "/".join(os.environ.get(name, "") for name in order["launcher"].get("identity", ()))
    began = {"pid": os.getpid(), "began_ms": now_ms(), "identity": identity}
    if not files.create_json(f"{folder}/{files.BEGAN}", began):
        first = (files.read_json(f"{folder}/{files.BEGAN}") or {}).get("identity", "")
        sys.stderr.write(f"the attempt began before, as {first}: {identity} does not start it again\n")
        return FENCED
    secrets = files.read_json(f"{folder}/{files.SECRETS}") or {}
    files.drop(f"{folder}/{files.SECRETS}")
    # Whoever stops an attempt writes that down and then looks whether it began; we do it the other way round.
    files.look_afresh(folder)
    if os.path.exists(f"{folder}/{files.END}"):
        return 0
    adopt_orphans()
    notes = os.open(f"{folder}/{files.NOTES}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(notes, 2)
    try:
        _carry_out(folder, order, secrets)
    except Exception:  # noqa: BLE001  (the last one to see it: it goes into the attempt's own notes)
        import traceback  # not before it is needed: each job pays for what its supervisor imports

        sys.stderr.write(traceback.format_exc())
        return FAILED
    end = files.read_json(f"{folder}/{files.END}")
    if end is None:  # why it ended is for the batch system to say
        return 1
    sys.stdout.write(codec.dumps(end).decode() + "\n")
    return 0 if end["outcome"] == "SUCCEEDED" else 1


def _carry_out(folder: str, order: "dict[str, Any]", secrets: "dict[str, str]") -> None:
    begun = Plain(folder, order) if is_plain(order) else None
    if begun and begun.run():
        return
    from pathlib import Path

    from hutong.adapters.engines.attempt.launch import read_launcher
    from hutong.adapters.engines.attempt.supervise import Supervision

    Supervision(Path(folder), order, secrets, read_launcher(order["launcher"]), begun).run()
