"""What an operator sets about the folders of attempts and about the processes that run in them."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on each process of a job, in base units; 0 means none of ours.

    `address_space_bytes` is off by default because frameworks map far more than they use;
    `processes` counts all processes of the user id, and the kernel does not count those of uid 0.
    `input_bytes` bounds what one bundle may unpack to.
    """

    address_space_bytes: int = 0
    file_bytes: int = 1 << 40
    open_files: int = 65_536
    processes: int = 16_384
    input_bytes: int = 1 << 35


@dataclass(frozen=True, slots=True)
class FolderConfig:
    """The folders of one site's attempts and what their processes may use.

    `root` holds them: on a local file system for the local engine, on one that every node mounts for the
    others. `readable` are extra folders that a boxed job may read (the prefixes of the site's Python), `path`
    the PATH of its software, `devices` what it may open (accelerators), `payloads` the folder of payload
    programs, `envs` variables that a job finds unless it sets them itself. `isolation` is `bwrap` (refuse to
    work without), `none`, or `auto` (bwrap where it works, and say so where it does not).
    """

    root: Path
    payloads: Path
    readable: tuple[Path, ...] = ()
    path: tuple[Path, ...] = ()
    devices: tuple[Path, ...] = ()
    isolation: str = "auto"
    limits: Limits = field(default_factory=Limits)
    service_host: str = "127.0.0.1"
    log_most_bytes: int = 256 << 20
    envs: tuple[tuple[str, str], ...] = ()
