"""Starts a rank where a launcher such as srun has put it: in its environment and box, and notes how it ends.

The rank's variables come behind RANK_: so none of them works on the launcher, or on what is outside of the
box. What the launcher says of an exit may be its own trouble: so the code goes to the file TOLD, which is `-`
for a command beside a rank. TERM comes to all processes of a rank: this one outlives it.

Standard library only.

    python -I -S enter.py TOLD PROGRAM [ARGUMENT ...]
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from hutong.adapters.engines.attempt.box import sealed
from hutong.adapters.engines.attempt.launch import unwrapped


def main() -> int:
    """Run the program of the command line; returns its code as a shell has it."""
    told, argv = sys.argv[1], sys.argv[2:]
    env, handle = unwrapped(os.environ), -1
    boxed = argv[0] == "bwrap"
    if boxed:
        argv, env, handle = sealed(argv, env)
    # A box must not get TERM, what runs in it hears it all the same; without a box the rank hears it itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if boxed else lambda *_: None)
    errors = None if told == "-" else subprocess.STDOUT
    child = subprocess.Popen(argv, env=env, stderr=errors, pass_fds=() if handle < 0 else (handle,))
    code = child.wait()
    code = 128 - code if code < 0 else code
    if told != "-":
        fresh = Path(f"{told}.new")
        fresh.write_text(f"{code}\n")
        fresh.replace(told)
    return code


if __name__ == "__main__":
    sys.exit(main())
