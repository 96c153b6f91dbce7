"""The files of a Slurm testbed: slurm.conf, gres.conf, keys, and devices that are links to /dev/null."""

import functools
import os
import platform
import pwd
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = platform.node()
STANDBY, STANDBY_ADDRESS = "standby", "127.0.0.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Like nodes of a cluster, as slurm.conf would have them; what they claim need not be there.

    `gres` is "name:type:count" or "name:count", several with commas: "gpu:h100:8", "npu:910c:16,nic:ib:8".
    `more` is put at the end of the line, for example "Weight=10 Sockets=2".
    """

    count: int = 1
    cpus: int = 8
    memory_mb: int = 64_000
    gres: str = ""
    features: Sequence[str] = ()
    prefix: str = "n"
    more: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name, the port of its slurmd and the line it came from."""

    name: str
    port: int
    kind: Nodes


def user_name() -> str:
    """Return the name of who runs this; Slurm wants names."""
    return pwd.getpwuid(os.getuid()).pw_name


@functools.cache
def host_address() -> str:
    """Return the address that this machine's name stands for: Slurm's daemons bind it and nothing else."""
    try:
        return socket.gethostbyname(HOST)
    except OSError as error:
        message = (
            f"this machine's name {HOST!r} has no address; add the line '127.0.0.1 {HOST}' to /etc/hosts"
        )
        raise RuntimeError(message) from error


def bound_address() -> str:
    """Return the setting that makes daemons listen on this machine's address only.

    Debian gives a machine's name the address 127.0.1.1. srun would listen there and be called back at
    127.0.0.1, from where Linux connects to all of 127/8. On such a machine slurmd and srun listen everywhere,
    guarded by munge.
    """
    odd = host_address().startswith("127.") and host_address() != "127.0.0.1"
    return "NoCtldInAddrAny" if odd else "NoInAddrAny,NoCtldInAddrAny"


def write_secret(path: Path, secret: bytes) -> None:
    """Write a key that only its owner can read, as munged and Slurm demand."""
    path.touch(mode=0o600)
    path.write_bytes(secret)


def munged_command(run: Path, key: Path, log: Path) -> list[str]:
    """Return the command of a munged with its socket, key and seed in the testbed's folder."""
    files = [f"--socket={run}/munge.socket", f"--key-file={key}", f"--pid-file={run}/munged.pid"]
    return [
        "munged",
        "-F",
        "--force",
        "--num-threads=2",
        *files,
        f"--seed-file={run}/munged.seed",
        f"--log-file={log}",
    ]


def split_gres(gres: str) -> list[tuple[str, str, int]]:
    """Split "gpu:h100:8,nic:2" into (name, type or nothing, count)."""
    parts = []
    for item in filter(None, gres.split(",")):
        name, *kind, count = item.split(":")
        parts.append((name, ":".join(kind), int(count)))
    return parts


def gres_conf(folder: Path, nodes: Sequence[Node]) -> str:
    """Make the devices and return gres.conf: a link to /dev/null is a device for slurmd."""
    devices = folder / "dev"
    devices.mkdir(exist_ok=True)
    lines = []
    for node in nodes:
        first: dict[str, int] = {}  # several types of one name do not share devices
        for name, kind, count in split_gres(node.kind.gres):
            start = first.get(name, 0)
            first[name] = start + count
            for index in range(start, start + count):
                link = devices / f"{name}{index}"
                if not link.is_symlink():
                    link.symlink_to("/dev/null")
            typed = f" Type={kind}" if kind else ""
            lines.append(
                f"NodeName={node.name} Name={name}{typed} File={devices}/{name}[{start}-{start + count - 1}]"
            )
    return "\n".join([*lines, ""])


def slurm_conf(settings: Mapping[str, str], nodes: Sequence[Node], partitions: Mapping[str, str]) -> str:
    """Return slurm.conf."""
    lines = [f"{key}={value}" for key, value in settings.items()]
    for node in nodes:
        kind = node.kind
        line = f"NodeName={node.name} NodeHostname={HOST} NodeAddr={host_address()} Port={node.port}"
        line += f" CPUs={kind.cpus} RealMemory={kind.memory_mb} State=UNKNOWN"
        line += f" Gres={kind.gres}" if kind.gres else ""
        line += f" Feature={','.join(kind.features)}" if kind.features else ""
        lines.append(f"{line} {kind.more}".rstrip())
    for name, options in partitions.items():
        given = {part.partition("=")[0].lower() for part in options.split()}
        defaults = {"MaxTime": "INFINITE", "State": "UP"}
        rest = "".join(f" {key}={value}" for key, value in defaults.items() if key.lower() not in given)
        lines.append(f"PartitionName={name} {options}{rest}")
    return "\n".join([*lines, ""])


def standby_command(folder: Path, conf: Path) -> list[str]:
    """Return the command of a second controller, on a machine that has another name only for itself."""
    hosts, own = folder / "hosts", folder / "standby.conf"
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{STANDBY_ADDRESS} {STANDBY}\n")
    own.write_text(conf.read_text().replace("run/slurmctld.pid", "run/standby.pid"))
    become = [] if os.getuid() == 0 else ["--map-current-user", "--keep-caps"]
    script = f"mount --bind {hosts} /etc/hosts && hostname {STANDBY} && exec slurmctld -D -f {own}"
    return ["unshare", *become, "--uts", "--mount", "sh", "-c", script]


def base_settings(name: str, folder: Path, controller_port: int) -> dict[str, str]:
    """Return the settings that make Slurm run in a folder: no cgroups, one address, any number of CPUs."""
    return {
        "ClusterName": name,
        "SlurmctldHost": f"{HOST}({host_address()})",
        "SlurmctldPort": str(controller_port),
        "SlurmUser": user_name(),
        "SlurmdUser": user_name(),
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/run/munge.socket",
        "AuthAltTypes": "auth/jwt",
        "AuthAltParameters": f"jwt_key={folder}/jwt.key",
        "CommunicationParameters": bound_address(),
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{folder}/run/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/run/slurmd-%n.pid",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": "task=1",
        "MpiDefault": "none",
        "SwitchType": "switch/none",
        "ReturnToService": "2",
        "SlurmdParameters": "config_overrides",  # a node may claim more than this machine has
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "DefMemPerCPU": "100",
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": "batch_sched_delay=0,sched_min_interval=0,bf_interval=1,bf_max_job_test=200",
        "MaxJobCount": "20000",
        "KillWait": "2",
    }


def gres_settings(nodes: Sequence[Node], *, accounted: bool) -> dict[str, str]:
    """Return the settings that name the nodes' GRES, and count them in accounting."""
    kinds = {(name, kind) for node in nodes for name, kind, _ in split_gres(node.kind.gres)}
    if not kinds:
        return {}
    names = sorted({name for name, _ in kinds})
    settings = {"GresTypes": ",".join(names)}
    if accounted:
        typed = sorted(f"gres/{name}:{kind}" for name, kind in kinds if kind)
        settings["AccountingStorageTRES"] = ",".join([*(f"gres/{name}" for name in names), *typed])
    return settings
