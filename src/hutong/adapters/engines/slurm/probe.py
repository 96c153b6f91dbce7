"""A tiny real job for each pool: what its node sees of the shared folder, its Python and its sandbox."""

import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hutong.adapters.engines.attempt import files
from hutong.adapters.engines.attempt.checks import check_box
from hutong.adapters.engines.attempt.programs import install_programs
from hutong.adapters.engines.inspection import Check, bad, ok, warn
from hutong.adapters.engines.slurm import build
from hutong.adapters.engines.slurm.commands import Commands
from hutong.adapters.engines.slurm.config import SlurmConfig
from hutong.core.kernel.errors import Later, Refused

JOB_NAME = "ht-doctor"
_PAUSE_S = 0.3
_POOLS_AT_MOST = 20
_LAG_S = 5.0


class Probe:
    """Submits, waits, reads, and leaves nothing behind: neither jobs nor files."""

    def __init__(self, config: SlurmConfig, commands: Commands, wait_s: float) -> None:
        self._config = config
        self._commands = commands
        self._wait_s = wait_s
        self._nonce = secrets.token_hex(16)
        self._files: dict[str, str] = {}  # pools have names that files may not have

    def run(self) -> Iterator[Check]:
        """Yield what the nodes say, pool by pool."""
        folder = self._config.folder.root.resolve() / f"doctor-{self._nonce[:8]}"
        jobs: dict[str, str] = {}
        try:
            folder.mkdir(parents=True, mode=0o700)
            (folder / "nonce").write_text(self._nonce, encoding="utf-8")
            program = install_programs(folder / "programs") / "probe.py"
            with (folder / "held").open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                for number, name in enumerate(list(self._config.pools)[:_POOLS_AT_MOST]):
                    self._files[name] = str(number)
                    try:
                        jobs[name] = self._submit(folder, program, name)
                    except (Later, Refused) as error:
                        yield bad(
                            f"nodes of {name}", str(error), "correct the pool's lines, see `pool` above"
                        )
                yield from self._await(folder, dict(jobs))
        except OSError as error:
            mend = f"make {self._config.folder.root} a folder that the agent's user may write"
            yield bad("shared folder", f"it cannot be used: {error}", mend)
        finally:
            self._commands.cancel(jobs.values())
            shutil.rmtree(folder, ignore_errors=True)

    def _submit(self, folder: Path, program: Path, pool: str) -> str:
        number = self._files[pool]
        script = folder / f"job-{number}.sh"
        words = build.script(build.supervisor(self._config.python, program), folder)
        script.write_text(words.rstrip("\n") + f" {number}\n", encoding="utf-8")
        return self._commands.probe(
            [
                "--parsable", "--no-requeue", f"--job-name={JOB_NAME}", f"--chdir={folder}",
                f"--output={folder}/slurm-{number}.log", "--nodes=1", "--ntasks=1", "--time=2", "--mem=100M",
                *build.pool_options(self._config.pools[pool]), str(script),
            ]
        )  # fmt: skip

    def _await(self, folder: Path, jobs: dict[str, str]) -> Iterator[Check]:
        deadline_s = time.monotonic() + self._wait_s
        over_since: dict[str, float] = {}
        while jobs:
            known = {record.id: record for record in self._commands.queue()}
            now_s = time.monotonic()
            for pool, job in list(jobs.items()):
                answer = files.read_json(folder / f"seen-{self._files[pool]}.json")
                record = known.get(job)
                if answer is not None:
                    del jobs[pool]
                    yield from self._judge(pool, answer)
                elif record is None or record.over:
                    # A shared file system may show the answer a little later than Slurm shows the end.
                    if now_s - over_since.setdefault(pool, now_s) > _LAG_S:
                        del jobs[pool]
                        yield self._silent(
                            folder, pool, f"{record.state} ({record.reason})" if record else "it is gone"
                        )
                elif now_s > deadline_s:
                    del jobs[pool]
                    yield _not_yet(pool, f"{record.state} ({record.reason})", self._wait_s)
            if jobs:
                time.sleep(_PAUSE_S)

    def _silent(self, folder: Path, pool: str, why: str) -> Check:
        try:
            said = (folder / f"slurm-{self._files[pool]}.log").read_text(errors="replace").strip()[-300:]
        except OSError:
            said = "its output is not to be seen here either"
        root, python = self._config.folder.root, self._config.python
        mend = f"every node must see {root} at that path, and must have {python}"
        return bad(f"nodes of {pool}", f"a job ended and left no answer: {why}; {said}", mend)

    def _judge(self, pool: str, answer: dict[str, Any]) -> Iterator[Check]:
        title, node, python = f"nodes of {pool}", answer["node"], answer["python"]
        if "faults" not in answer:
            mend = "set [engine] python to one that is 3.11 or newer on every node"
            yield bad(title, f"{node} has Python {python}", mend)
            return
        faults = [f"{name}: {text}" for name, text in answer["faults"].items() if text]
        if answer["nonce"] != self._nonce:
            faults.append("the node reads something else than was written here")
        if faults:
            mend = "mount it so that locks and hard links work on every node (NFS 4, Lustre with flock, GPFS)"
            yield bad(title, f"on {node}: {'; '.join(faults)}", mend)
        else:
            yield ok(title, f"{node} ran a job: folder, locks and links are shared, Python {python}")
        box = check_box(self._config.folder.isolation, answer["box"])
        yield Check(f"{box.name} on {node}", box.level, box.seen, box.mend)


def _not_yet(pool: str, state: str, wait_s: float) -> Check:
    seen = f"no node answered within {wait_s:g} s: the job was {state}"
    return warn(f"nodes of {pool}", seen, "try again when the pool is less busy, or with a longer --wait")
