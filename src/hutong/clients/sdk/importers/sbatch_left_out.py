"""What an sbatch option without a place in the job file is answered with: what to do instead."""

from collections.abc import Mapping
from types import MappingProxyType

_SITES = "placement.sites narrows the choice of centers"
_NODES = f"single nodes cannot be chosen; {_SITES}"
_INSIDE = "how a node is used is the job's own affair: numactl or taskset in `run`"
_LOG = "`hutong logs JOB` writes what the job says, and keeps it; files to keep go to $HUTONG_OUTPUTS"
_IMAGE = "no engine here runs images yet: install what the job needs in `setup`"
_DISK = "no disk can be asked for: write below $TMPDIR or $HUTONG_CHECKPOINTS"
_CENTER = "is the center's own affair"
_TOLD = "it says something about sbatch itself"
_METERED = "the platform meters every job itself: `hutong bill`"
_SHARED = "cards and cores are never shared between jobs"

SAME: Mapping[str, str] = MappingProxyType(
    {
        "requeue": "what a center causes is always tried again",
        "wait-all-nodes": "all nodes start together, or none",
        "use-min-nodes": "the least number of nodes is taken",
    }
)

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "account": "who pays is said at submission: hutong run FILE --project NAME",
        "partition": f"centers are chosen by what the job needs; {_SITES}",
        "clusters": f"centers are chosen by what the job needs; {_SITES}",
        "qos": "`priority`, from -1000 to 1000, orders the queue",
        "priority": "numbers of Slurm mean nothing here: `priority`, from -1000 to 1000, orders the queue",
        **dict.fromkeys(
            ("constraint", "prefer", "cluster-constraint", "batch"),
            f"nodes have no features here: `resources` says what is needed, {_SITES}",
        ),
        **dict.fromkeys(
            (
                *("nodelist", "exclude", "nodefile", "contiguous", "switches", "spread-job", "segment"),
                *("consolidate-segments", "spread-segments"),
            ),
            _NODES,
        ),
        "reservation": "there are no reservations; a project's award is always there for it",
        "licenses": "licenses are not counted: the job must find out whether one is free",
        "dependency": "jobs do not wait for each other: `hutong run` ends with its job, then submit the next",
        "begin": "a job starts as soon as it can: submit it then, or `hutong hold` it until then",
        "deadline": "`placement.start_before` gives a job up that has not started in time",
        "hold": "`hutong run -d FILE`, then `hutong hold last`",
        "time-min": "max_duration is one number",
        **dict.fromkeys(("output", "error", "open-mode"), _LOG),
        "input": "redirect it in `run`: command < file",
        **dict.fromkeys(
            ("mail-type", "mail-user"), "no mail is sent: follow the job with `hutong logs JOB -f`"
        ),
        "exclusive": "cards are never shared, a node may be: ask for all of its cards, cores and memory",
        **dict.fromkeys(("oversubscribe", "overcommit"), _SHARED),
        "no-requeue": "what a center causes is always tried again: exit if $HUTONG_ATTEMPT is not 1",
        "no-kill": "a job that loses a node ends, and is tried again",
        **dict.fromkeys(
            (
                *("cores-per-socket", "threads-per-core", "extra-node-info", "ntasks-per-core"),
                *("ntasks-per-socket", "ntasks-per-tres", "distribution", "cpu-freq", "gpu-bind", "gpu-freq"),
                *("gres-flags", "mem-bind", "hint", "core-spec", "thread-spec", "tres-bind", "oom-kill-step"),
            ),
            _INSIDE,
        ),
        **dict.fromkeys(("tmp", "bb", "bbf"), _DISK),
        **dict.fromkeys(
            ("export-file", "get-user-env"), "only `envs` reach a job: write there what it must have"
        ),
        "propagate": "limits of the shell do not travel: ulimit in `run`",
        **dict.fromkeys(("acctg-freq", "profile", "power"), _METERED),
        "comment": "there is no place for it but the file itself",
        "wckey": "there is no place for it; the name of the job can say it",
        "extra": "there is no place for it",
        **dict.fromkeys(
            (
                *("container", "container-id", "container-image", "container-mounts", "container-workdir"),
                *("container-name", "container-save", "container-env", "container-entrypoint"),
                *("no-container-entrypoint", "container-entrypoint-log", "container-mount-home"),
                *("no-container-mount-home", "container-readonly", "container-remap-root"),
                *("no-container-remap-root", "container-writable"),
            ),
            _IMAGE,
        ),
        **dict.fromkeys(
            ("network", "mcs-label", "uid", "gid", "reboot", "delay-boot", "resv-ports"), _CENTER
        ),
        "x11": "a job has no screen",
        "wrap": "sbatch reads it on its own command line only",
        "kill-on-invalid-dep": "jobs do not wait for each other",
        "test-only": "`hutong check FILE` says what would happen",
        **dict.fromkeys(
            (
                *("help", "usage", "version", "verbose", "quiet", "parsable", "wait", "ignore-pbs"),
                *("stepmgr", "external"),
            ),
            _TOLD,
        ),
    }
)
