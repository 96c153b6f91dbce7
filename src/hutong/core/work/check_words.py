"""The words of the job file: which keys there are, and what to do instead of those we refuse."""

from hutong.core.work.check_fields import Vocabulary

_SITES = "choose centers with placement.sites, like placement: {sites: {allow: [bj-north]}}"
_CARDS = "say what each node needs with accelerators, cpus and memory"
_DISK = "pools do not declare disks yet: leave it out"
_IMAGE = "no engine here runs images yet: install what the job needs in setup"
_FILES = "put local files in workdir, and stored ones in inputs"
_ONE_FILE = "submit the parts as jobs of their own"
_DSTACK = "dstack's word: `hutong import dstack FILE` makes a job file of the whole"
_INNER = "leave it out: SkyPilot writes it for itself"

_TOP = (
    "name", "type", "num_nodes", "nodes", "resources", "envs", "secrets", "workdir", "inputs", "outputs",
    "ports", "setup", "run", "max_duration", "grace", "network", "priority", "preemptible",
    "placement", "array",
)  # fmt: skip
_RESOURCES = (
    "accelerators", "cpus", "memory", "any_of", "ordered", "use_spot", "ports", "priority",
    "max_hourly_cost", "job_recovery",
)  # fmt: skip
_PLACEMENT = (
    "objective", "latency_class", "sites", "centres", "start_before", "defer", "pauses", "isolation",
    "on_centre_loss",
)  # fmt: skip
_RECOVERY = ("max_restarts_on_errors", "recover_on_exit_codes", "avoid_domains")

TOP = Vocabulary(
    _TOP,
    {
        "service": "write type: service, and let run start a server on $HUTONG_HOST:$HUTONG_PORT",
        "replicas": "a service has one replica so far: submit it several times",
        "image": _IMAGE,
        "image_id": _IMAGE,
        "file_mounts": _FILES,
        "storage_mounts": _FILES,
        "volumes": _FILES,
        "volume_mounts": _FILES,
        "file_mounts_mapping": _FILES,
        "data": "name data in inputs, each with mount and one of digest, url and shared",
        "checkpoint": "write checkpoints below $HUTONG_CHECKPOINTS: the next attempt finds them",
        "config": "options of one engine are set by the center's operator",
        "experimental": "leave it out",
        "event_callback": "follow the job's event stream instead",
        "pool": "there are no worker pools: leave it out",
        "managed_secrets": "name them in secrets: values are stored with the project",
        "api_server_access": "a job cannot submit jobs: leave it out",
        "_metadata": _INNER,
        "job_groups": _ONE_FILE,
        "groups": _ONE_FILE,
        "execution": _ONE_FILE,
        "project": "the project is named beside the file when the job is submitted",
        "queue": "there is one queue: use priority",
        "commands": f"put the lines in run, as one text; or {_DSTACK}",
        **dict.fromkeys(("python", "files", "repos", "retry", "working_dir", "port"), _DSTACK),
        **dict.fromkeys(
            ("spot_policy", "max_price", "backends", "regions", "fleets", "stop_duration"), _DSTACK
        ),
        "deployment": "only the platform ties a service to a deployed model",
        "inactivity_duration": "nobody measures activity: use max_duration",
        "num_gpus": "resources: {accelerators: 'H100:8'}",
    },
    {
        **dict.fromkeys((*_RESOURCES, "gpu", "gpus", "infra", "cloud", "region", "zone"), "resources"),
        **dict.fromkeys(_PLACEMENT, "placement"),
        **dict.fromkeys(("allow", "deny"), "placement.sites"),
        **dict.fromkeys(_RECOVERY, "resources.job_recovery"),
    },
)
RESOURCES = Vocabulary(
    _RESOURCES,
    {
        "gpu": "use accelerators, like accelerators: H100:8",
        "gpus": "use accelerators, like accelerators: H100:8",
        "infra": _SITES,
        "cloud": _SITES,
        "region": _SITES,
        "zone": _SITES,
        "instance_type": _CARDS,
        "accelerator_args": _CARDS,
        "disk_size": _DISK,
        "disk_tier": _DISK,
        "local_disk": _DISK,
        "ephemeral_storage": _DISK,
        "disk": _DISK,
        "cpu": "use cpus, like cpus: 4+",
        "priority_class": "use priority, a number",
        "hooks": "a job's cards are free when run ends: let run do it, with trap",
        "network_tier": "pools do not declare network tiers yet: leave it out",
        "image_id": _IMAGE,
        "labels": "leave it out: pools carry no labels",
        "autostop": "a job's cards are free when run ends: leave it out",
        "volumes": _FILES,
        "spot_recovery": "use job_recovery",
        "_no_missing_accel_warnings": _INNER,
        "_docker_login_config": _INNER,
        "_is_image_managed": _INNER,
        "_requires_fuse": _INNER,
        "_cluster_config_overrides": _INNER,
        "shm_size": "leave it out: a job may use the node's shared memory",
    },
    {
        **{key: "the top level" for key in _TOP if key not in _RESOURCES},
        **dict.fromkeys((*_RECOVERY, "strategy"), "job_recovery"),
    },
)
ALTERNATIVE = Vocabulary(
    ("accelerators", "use_spot"),
    RESOURCES.refused,
    dict.fromkeys(_RESOURCES, "resources itself: alternatives differ in accelerators only"),
)
RECOVERY = Vocabulary(("strategy", *_RECOVERY))
PLACEMENT = Vocabulary(
    _PLACEMENT,
    {},
    {"allow": "placement.sites", "deny": "placement.sites", "max_hourly_cost": "resources"},
)
SITES = Vocabulary(("allow", "deny"))
WORKDIR = Vocabulary(
    ("digest",),
    {"url": "clone the repository in setup, with network: true", "ref": "clone the repository in setup"},
)
INPUT = Vocabulary(
    ("mount", "digest", "kind", "url", "store", "shared"),
    {
        "size": "leave it out",
        "mode": "inputs are read only: leave it out",
        "name": "name it by digest",
        "endpoint": "the center's operator names it: write store, with the name that the center gives it",
        "source": "digest, url or shared",
        "path": "shared: NAME/sub/folder",
    },
)
