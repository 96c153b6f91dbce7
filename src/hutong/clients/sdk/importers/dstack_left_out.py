"""What a key of dstack without a place in the job file is answered with: what to do instead."""

from collections.abc import Mapping
from types import MappingProxyType

_SITES = "placement.sites narrows the choice of centers"
_IMAGE = "no engine here runs images yet: install what the job needs in `setup`"
_FLEET = "there are no fleets or instances to choose: `resources` says what is needed"
_SERVICE = "the gateway does it, or nobody: a service is one process behind it"

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            ("image", "entrypoint", "registry_auth", "docker", "privileged", "user", "python", "nvcc"), _IMAGE
        ),
        **dict.fromkeys(("backends", "regions", "availability_zones"), _SITES),
        **dict.fromkeys(
            (
                *("instance_types", "instances", "fleets", "reservation", "creation_policy"),
                *(
                    "idle_duration",
                    "termination_policy",
                    "termination_idle_time",
                    "pool_name",
                    "instance_name",
                ),
                *("startup_order", "stop_criteria"),
            ),
            _FLEET,
        ),
        **dict.fromkeys(
            (
                *("gateway", "https", "auth", "strip_prefix", "rate_limits", "probes", "scaling"),
                *("router", "cors"),
            ),
            _SERVICE,
        ),
        "model": "register a model and `hutong deploy` it: then the gateway knows its name",
        "max_price": "resources.max_hourly_cost is the whole job's price of an hour, in yuan",
        "spot_policy": "there is no spot class yet",
        "volumes": "write below $HUTONG_CHECKPOINTS; `inputs` brings stored files",
        "utilization_policy": "nobody watches how busy the cards are: max_duration bounds a job",
        "schedule": "a job starts when it is submitted: let cron call `hutong run -d`",
        "tags": "there is no place for them",
        "single_branch": "clone in `setup` as you like",
        "home_dir": "dstack does not use it either",
        "retry_policy": "resources.job_recovery allows restarts",
        "setup": "dstack does not use it either",
        "init": "dstack runs it in dev environments only",
        "inactivity_duration": "there are no dev environments: max_duration bounds a job",
    }
)
