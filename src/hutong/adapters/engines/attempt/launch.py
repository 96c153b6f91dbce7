"""How the supervisor starts a rank: here, through a launcher of the batch system such as srun, or a follower.

Standard library only: the supervisor imports this without any installed package.
"""

import os
import re
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.devices import devices_of
from hutong.adapters.engines.attempt.tree import send

_ASK_S = 30
_WORDS_BYTES = 4096
WRAP = "RANK_"
_OF_A_POD = ("HOSTNAME", "HUTONG_", "KUBERNETES_")


class Launcher(NamedTuple):
    """Command lines as data. `{rank}` in `prefix`, `{signal}` in `teller`, `{list}` in `namer` are filled in.

    `asker` prints where the ranks are, one match of `pattern` each, in the order of ranks; `inherited` are
    the first letters of variables that the launcher, or a rank here, needs. An empty prefix starts ranks
    here. `beside` starts a command on the node of a rank that runs; rank 0 is on our own. `entry` is
    `enter.py`, which a launcher starts on the rank's node. A rank's variables travel under names that mean
    nothing to launchers.

    `follows`: the launcher is `reach.py`, which asks the follower on a rank's node. It passes on the signals
    that it gets, QUIT as KILL. Followers have `meet_s` to be there.

    `judge` prints how the batch system sees the job: a match of `preempted` or of `ending` says that it is
    taking the job away. `oom` is a pattern of a launcher's words about a want of memory, `away` of an error
    of `teller` that says that the batch system is out of reach.
    `visible` is the variable for devices of the kind `device`, which `owner` tells and `namer` helps to read.
    `judged`: the batch system is asked why a node was lost, so the supervisor does not say it. `image`: ranks
    run in an image, whose own variables they find unless ours or theirs take their place. `held`: a batch
    system is over the attempt though none of its programs is at hand.
    """

    prefix: tuple[str, ...] = ()
    entry: tuple[str, ...] = ()
    teller: tuple[str, ...] = ()
    asker: tuple[str, ...] = ()
    pattern: str = ""
    inherited: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    follows: bool = False
    meet_s: float = 0
    judge: tuple[str, ...] = ()
    preempted: str = ""
    ending: str = ""
    oom: str = ""
    away: str = ""
    visible: str = ""
    device: str = ""
    owner: tuple[str, ...] = ()
    namer: tuple[str, ...] = ()
    nodelist: str = ""
    judged: bool = False
    image: bool = False
    held: bool = False

    @property
    def here(self) -> bool:
        """True if ranks are children of the supervisor."""
        return not self.prefix

    @property
    def watched(self) -> bool:
        """True if a batch system is over the attempt: it may suspend it, or take it away."""
        return bool(self.prefix or self.judge or self.held)

    def far(self, rank: int, argv: Sequence[str], told: Path | None) -> list[str]:
        """Return the command that starts a rank elsewhere, which leaves its exit code in the file `told`.

        A follower does what is done for a rank here. For others, the rank's errors go the way of its output,
        so that what the launcher itself says stays apart.
        """
        prefix = [part.replace("{rank}", str(rank)) for part in self.prefix]
        return [*prefix, *argv] if told is None else [*prefix, *self.entry, str(told), *argv]

    def inherit(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return a rank's environment with what it, or its launcher, needs of ours."""
        needed = () if self.follows else self.inherited
        mine = {name: value for name, value in os.environ.items() if name.startswith(needed)}
        return {**mine, **(env if self.here else {f"{WRAP}{name}": value for name, value in env.items()})}

    def base(self) -> dict[str, str]:
        """Return the variables of the image; those of a follower's own node come from the follower."""
        if not self.image:
            return {}
        left_out = (*_OF_A_POD, *(self.inherited if self.follows else ()))
        return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}

    def tell(self, number: signal.Signals, launchers: Collection[int]) -> bool:
        """Send a signal to all ranks elsewhere; False if the batch system does not answer."""
        if self.follows:
            send(launchers, signal.SIGQUIT if number == signal.SIGKILL else number)
        if not self.teller:
            return True
        argv = [part.replace("{signal}", number.name.removeprefix("SIG")) for part in self.teller]
        done = _ask(argv)
        return done is not None and (done.returncode == 0 or not re.search(self.away or "$", done.stderr))

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
        before = [part.replace("{rank}", str(rank)) for part in self.beside]
        return [*before, *self.entry, "-"] if before else None

    def taken(self) -> str:
        """Return `preempted` or `ending` if the batch system is taking the job away, else nothing."""
        if not self.judge:
            return ""
        says = _run(self.judge)
        for name, pattern in (("preempted", self.preempted), ("ending", self.ending)):
            if pattern and re.search(pattern, says):
                return name
        return ""

    def devices(self) -> list[dict[str, str]]:
        """Return the variables that tell each rank its devices; nothing where the batch system sets them."""
        if not self.visible:
            return []
        numbers = devices_of(_run(self.owner), self.device, self._names(self.nodelist), self._names)
        return [{self.visible: each} for each in numbers]

    def _names(self, nodes: str) -> list[str]:
        return _run([part.replace("{list}", nodes) for part in self.namer]).split()


HERE = Launcher()


def unwrapped(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a rank out of that of a process which its launcher has started."""
    theirs = {name.removeprefix(WRAP): value for name, value in env.items() if name.startswith(WRAP)}
    return {**{name: value for name, value in env.items() if not name.startswith(WRAP)}, **theirs}


def last_words(folder: Path) -> str:
    """Return the last of what the launchers of an attempt have said."""
    with (folder / files.NOTES).open("rb") as notes:
        notes.seek(max(0, notes.seek(0, os.SEEK_END) - _WORDS_BYTES))
        return notes.read().decode(errors="replace")


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
        "meet_s": meet_s,
        "call_s": call_s,
    }


def read_launcher(document: Mapping[str, Any]) -> Launcher:
    """Return the launcher of an order; `{NAME}` in capitals stands for a variable of our environment."""

    def filled(part: str) -> str:
        return re.sub(r"\{([A-Z_]+)\}", lambda m: os.environ.get(m[1], ""), part)

    def words(name: str) -> tuple[str, ...]:
        return tuple(filled(part) for part in document.get(name, ()))

    def text(name: str) -> str:
        return str(document.get(name, ""))

    return Launcher(
        prefix=words("prefix"),
        entry=words("entry"),
        teller=words("teller"),
        asker=words("asker"),
        pattern=text("pattern"),
        inherited=tuple(document.get("inherited", ())),
        beside=words("beside"),
        follows=document.get("follows", False),
        meet_s=document.get("meet_s", 0),
        judge=words("judge"),
        preempted=text("preempted"),
        ending=text("ending"),
        oom=text("oom"),
        away=text("away"),
        visible=text("visible"),
        device=text("device"),
        owner=words("owner"),
        namer=words("namer"),
        nodelist=filled(text("nodelist")),
        judged=document.get("judged", False),
        image=document.get("image", False),
        held=document.get("held", False),
    )


def _run(argv: Sequence[str]) -> str:
    done = _ask(argv)
    return done.stdout if done else ""


def _ask(argv: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=_ASK_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
