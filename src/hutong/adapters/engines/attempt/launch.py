"""How the supervisor starts a rank: here, through a launcher of the batch system such as srun, or a follower.

Standard library only: the supervisor imports this without any installed package.
"""

import os
import re
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.tree import send

_ASK_S = 30
WRAP = "RANK_"
_OF_A_POD = ("HOSTNAME", "HUTONG_", "KUBERNETES_")


@dataclass(frozen=True, slots=True)
class Launcher:
    """Command lines as data. `{rank}` in `prefix` and `{signal}` in `teller` are filled in.

    `asker` prints where the ranks are, one match of `pattern` each, in the order of ranks; `inherited` are
    the first letters of variables that the launcher needs. An empty prefix starts ranks here. `beside` starts
    a command on the node of a rank that runs; rank 0 is on our own.

    `follows`: the launcher is `reach.py`, which asks the follower on a rank's node. It passes on the signals
    that it gets, QUIT as KILL, and the rank's environment comes to it under names of which none means
    anything to it. Followers have `meet_s` to be there.

    `judged`: the batch system is asked why a node was lost, so the supervisor does not say it. `image`: ranks
    run in an image, whose own variables they find unless ours or theirs take their place.
    """

    prefix: tuple[str, ...] = ()
    teller: tuple[str, ...] = ()
    asker: tuple[str, ...] = ()
    pattern: str = ""
    inherited: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    follows: bool = False
    meet_s: float = 0
    judged: bool = False
    image: bool = False

    @property
    def here(self) -> bool:
        """True if ranks are children of the supervisor."""
        return not self.prefix

    def far(self, rank: int, argv: Sequence[str]) -> list[str]:
        """Return the command that starts a rank elsewhere.

        A follower does what is done for a rank here. For others, the rank's errors go the way of its output,
        so that what the launcher itself says stays apart. TERM is sent to all processes of a rank; its box
        must outlive it, and its shell must hear it.
        """
        prefix = [part.replace("{rank}", str(rank)) for part in self.prefix]
        if self.follows:
            return [*prefix, *argv]
        shell = 'trap "" TERM; exec "$@" 2>&1' if argv[0] == "bwrap" else 'exec "$@" 2>&1'
        return [*prefix, "/bin/sh", "-c", shell, "sh", *argv]

    def inherit(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return a rank's environment with what the launcher needs of ours."""
        if self.follows:
            return {f"{WRAP}{name}": value for name, value in env.items()}
        mine = {name: value for name, value in os.environ.items() if name.startswith(self.inherited)}
        return {**mine, **env} if self.inherited else dict(env)

    def base(self) -> dict[str, str]:
        """Return the variables of the image; those of a follower's own node come from the follower."""
        if not self.image:
            return {}
        left_out = (*_OF_A_POD, *(self.inherited if self.follows else ()))
        return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}

    def tell(self, number: signal.Signals, launchers: Collection[int]) -> None:
        """Send a signal to all ranks elsewhere; what cannot be told now is told by the end of the job."""
        if self.follows:
            send(launchers, signal.SIGQUIT if number == signal.SIGKILL else number)
        elif self.teller:
            argv = [part.replace("{signal}", number.name.removeprefix("SIG")) for part in self.teller]
            _run(argv)

    def hosts(self, nodes: int, folder: Path) -> tuple[str, ...]:
        """Return the address of each rank; nothing if they are all on this machine."""
        if self.follows and nodes > 1:
            return tuple(each["address"] for each in met(folder, nodes))
        if not self.asker or nodes == 1:
            return ()
        found = re.findall(self.pattern, _run(self.asker))
        if len(found) != nodes:
            raise OSError(f"the batch system names {len(found)} nodes, the job has {nodes}")
        return tuple(found)

    def address(self) -> str:
        """Return the address by which the batch system calls the node of rank 0; raises OSError."""
        found = re.search(self.pattern, _run(self.asker))
        if found is None:
            raise OSError("the batch system does not say where this node is")
        return found[1]

    def beside_rank(self, rank: int) -> list[str] | None:
        """Return what goes before a command beside a rank, None where there is no way to its node."""
        if self.here or not rank:
            return []
        return [part.replace("{rank}", str(rank)) for part in self.beside] or None


HERE = Launcher()


def met(folder: Path, nodes: int) -> list[dict[str, Any]]:
    """Return what the followers say that are there, in the order of ranks."""
    told = (files.read_json(folder / files.follow_name(rank)) for rank in range(nodes))
    return [each for each in told if each is not None]


def followers(
    python: str, programs: Path, folder: Path, inherited: Sequence[str], meet_s: float, call_s: float
) -> dict[str, Any]:
    """Return the launcher of an order whose ranks are started by followers.

    `python` and `programs` are what runs `reach.py` where the supervisor is, which should be where rank 0 is:
    it chooses rank 0's ports. A follower gives its rank the variables of its own environment that begin with
    one of `inherited`. The supervisor waits `meet_s` for all followers, a follower `call_s` for its call,
    which comes after staging and setup. The attempt needs a token (`FolderEngine._write_token`).
    """
    return {
        "kind": "follow",
        "prefix": [python, "-I", "-S", str(programs / "reach.py"), str(folder), "{rank}"],
        "inherited": list(inherited),
        "follows": True,
        "bound": True,
        "meet_s": meet_s,
        "call_s": call_s,
    }


def read_launcher(document: Mapping[str, Any]) -> Launcher:
    """Return the launcher of an order; `{NAME}` in capitals stands for a variable of our environment."""

    def filled(argv: Sequence[str]) -> tuple[str, ...]:
        return tuple(re.sub(r"\{([A-Z_]+)\}", lambda m: os.environ.get(m[1], ""), part) for part in argv)

    return Launcher(
        filled(document.get("prefix", ())),
        filled(document.get("teller", ())),
        filled(document.get("asker", ())),
        document.get("pattern", ""),
        tuple(document.get("inherited", ())),
        filled(document.get("beside", ())),
        document.get("follows", False),
        document.get("meet_s", 0),
        document.get("judged", False),
        document.get("image", False),
    )


def _run(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout
