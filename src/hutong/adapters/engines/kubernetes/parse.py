"""Pure: what the API server says of our objects as records; what is new to us is kept, never an error."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hutong.adapters.engines.attempt.supervise import Verdict

Json = Mapping[str, Any]

ORIGIN, KEY, JOB, PROJECT, RANK = (f"hutong/{name}" for name in ("origin", "key", "job", "project", "rank"))
FENCE, POOL = "hutong/fence", "hutong/pool"
FINALIZER = "hutong/settle"
# Reasons for which a container does not start and that only a person can mend.
STUCK = frozenset(
    {
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
        "RegistryUnavailable", "SignatureValidationFailed", "CreateContainerConfigError",
        "CreateContainerError", "RunContainerError",
    }
)  # fmt: skip
_ON_THE_WAY = frozenset({"", "ContainerCreating", "PodInitializing"})
_EVICTED = frozenset({"Evicted", "TerminationByKubelet", "EvictionByEvictionAPI"})
_PREEMPTED = frozenset({"Preempting", "Preempted", "PreemptionByScheduler", "PreemptionByKubeScheduler"})
_NODE_LOST = frozenset(
    {
        "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "DeletionByTaintManager",
        "DeletionByPodGC", "TaintManagerEviction", "NodeAffinity", "UnexpectedAdmissionError",
    }
)  # fmt: skip
# What tells most of an end comes first: reasons, then outcome, category and words.
_ENDS = (
    (frozenset({"OOMKilled"}), "FAILED", "oom", "it was killed for want of memory"),
    (_PREEMPTED, "PREEMPTED", "preempted", "Kubernetes preempted it"),
    (frozenset({"DeadlineExceeded"}), "FAILED", "user", "walltime: it reached its deadline at Kubernetes"),
    (_EVICTED, "FAILED", "infra", "its node evicted it"),
    (_NODE_LOST, "FAILED", "infra", "a node of it was lost"),
)
DELETED = "its job was deleted at the site, not by the platform"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of ours. `waits` is why it does not run yet, in the cluster's words.

    It is `stuck` if only a person can mend that. `why` are the reasons it gives for its end, the most telling
    first; `ended` if no process of it runs, by the word of its node; `silent` if its node does not answer;
    `gone` if the API server has it no more.
    """

    uid: str
    name: str
    namespace: str
    key: str
    fence: str
    rank: int
    node: str
    phase: str
    waits: str = ""
    stuck: bool = False
    unplaced: bool = False
    why: tuple[tuple[str, str], ...] = ()
    code: int = 0
    ended: bool = False
    silent: bool = False
    leaving: bool = False
    gone: bool = False

    @property
    def over(self) -> bool:
        """True if it will run nothing more, as far as the API server knows."""
        return self.gone or self.ended or self.phase in {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class Work:
    """One Job or JobSet of ours; `why` is how it ended, by its own conditions.

    `version` is its resource version; `finalizers` are ours and those of others.
    """

    uid: str
    path: str
    namespace: str
    key: str
    origin: str
    fence: str
    suspended: bool = False
    over: bool = False
    ended_s: int = 0
    why: tuple[str, str] = ("", "")
    leaving: bool = False
    version: str = ""
    finalizers: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """True if it stays until we let go of it, whoever deletes it."""
        return FINALIZER in self.finalizers


def pod(body: Json) -> Pod | None:
    """Return the record of a pod, or None if it is no attempt's."""
    meta, spec, status = _table(body, "metadata"), _table(body, "spec"), _table(body, "status")
    labels, annotations = _table(meta, "labels"), _table(meta, "annotations")
    if not labels.get(KEY):
        return None
    states = [_table(each, "state") for each in _rows(status, "containerStatuses")]
    waiting = next((_table(each, "waiting") for each in states if each.get("waiting")), {})
    over = [_table(each, "terminated") for each in states if each.get("terminated")]
    conditions = {str(each.get("type")): each for each in _rows(status, "conditions")}
    phase = _text(status, "phase")
    placed = conditions.get("PodScheduled", {})
    unplaced = phase == "Pending" and placed.get("status") == "False"
    waits = placed if unplaced else waiting if _text(waiting, "reason") not in _ON_THE_WAY else {}
    index = annotations.get("batch.kubernetes.io/job-completion-index", labels.get(RANK, "0"))
    why = [status, *over]
    if conditions.get("DisruptionTarget", {}).get("status") == "True":
        why.insert(0, conditions["DisruptionTarget"])
    return Pod(
        uid=_text(meta, "uid"),
        name=_text(meta, "name"),
        namespace=_text(meta, "namespace"),
        key=str(labels[KEY]),
        fence=str(annotations.get(FENCE, "")),
        rank=number(index),
        node=_text(spec, "nodeName"),
        phase=phase,
        waits=": ".join(filter(None, (_text(waits, "reason"), _text(waits, "message")))),
        stuck=_text(waits, "reason") in STUCK,
        unplaced=unplaced,
        why=tuple((_text(each, "reason"), _text(each, "message")) for each in why if each.get("reason")),
        code=max((number(each.get("exitCode")) for each in over), default=0),
        ended=bool(states) and len(over) == len(states),
        silent=phase == "Running"
        and conditions.get("Ready", {}).get("status") in {"False", "Unknown"}
        and conditions.get("ContainersReady", {}).get("status") == "True",
        leaving=bool(meta.get("deletionTimestamp")),
    )


def work(body: Json, api: str, plural: str) -> Work | None:
    """Return the record of a Job or a JobSet, None if it is no attempt's; `api` is the path of its group."""
    meta, spec, status = _table(body, "metadata"), _table(body, "spec"), _table(body, "status")
    labels = _table(meta, "labels")
    if not labels.get(KEY):
        return None
    ends = [
        each
        for each in _rows(status, "conditions")
        if each.get("status") == "True" and str(each.get("type")) in {"Complete", "Completed", "Failed"}
    ]
    end = ends[0] if ends else {}
    return Work(
        uid=_text(meta, "uid"),
        path=f"{api}/namespaces/{_text(meta, 'namespace')}/{plural}/{_text(meta, 'name')}",
        namespace=_text(meta, "namespace"),
        key=str(labels[KEY]),
        origin=str(labels.get(ORIGIN, "")),
        fence=str(_table(meta, "annotations").get(FENCE, "")),
        suspended=spec.get("suspend") is True,
        over=bool(ends),
        ended_s=seconds(_text(end, "lastTransitionTime")),
        why=(_text(end, "reason"), _text(end, "message")),
        leaving=bool(meta.get("deletionTimestamp")),
        version=_text(meta, "resourceVersion"),
        finalizers=_finalizers(meta),
    )


def verdict(
    pods: Sequence[Pod], works: Sequence[Work], events: Iterable[tuple[str, str]] = (), fault: str = ""
) -> Verdict:
    """Return how an attempt that left no end came to one, by the cluster's word.

    `events` are reasons and messages about its pods, for what a deleted pod can no longer say itself; `fault`
    is what the supervisor saw, for where the cluster knows nothing.
    """
    told = [(reason, text) for each in pods for reason, text in each.why]
    known = [*told, *events]
    for reasons, outcome, category, words in _ENDS:
        for reason, text in known:
            if reason in reasons:
                return Verdict(outcome, category, _sentence(words, reason, text))
    if any(each.suspended for each in works):
        return Verdict("PREEMPTED", "preempted", "its queue at the site took its nodes back")
    silent = [f"node {each.node} does not answer" for each in pods if each.silent]
    deleted = [
        f"pod {each.name} was deleted at the site, not by the platform"
        for each in pods
        if each.leaving or each.gone
    ]
    seen = [fault] if fault else []
    failed = [_failure(each) for each in pods if each.code]
    failed += [_sentence("its job ended", *each.why) for each in works if each.over and each.why[0]]
    rest = "its pods are gone, and it left no end" if works or pods else DELETED
    return Verdict("FAILED", "infra", [*silent, *deleted, *seen, *failed, rest][0])


def _failure(pod: Pod) -> str:
    return _sentence(f"pod {pod.name} failed with exit code {pod.code}", *(pod.why or (("", ""),))[0])


def event(body: Json) -> tuple[str, str]:
    """Return an event's reason and message."""
    return _text(body, "reason"), _text(body, "message")


def refusal(body: object) -> tuple[str, str, tuple[str, ...]]:
    """Return reason, message and the faulty fields of a Status; whatever else came, as its text."""
    if not isinstance(body, Mapping):
        return "", str(body)[:500], ()
    causes = _rows(_table(body, "details"), "causes")
    fields = tuple(f"{_text(each, 'field')}: {_text(each, 'message')}" for each in causes)
    return _text(body, "reason"), _text(body, "message")[:1000], fields


def number(value: object) -> int:
    """Return a whole number, 0 for what is none."""
    try:
        return int(str(value))
    except ValueError:
        return 0


def seconds(stamp: str) -> int:
    """Return UTC seconds of a time of Kubernetes', 0 for none."""
    with contextlib.suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(stamp)
        return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp())
    return 0


def _finalizers(meta: Json) -> tuple[str, ...]:
    found = meta.get("finalizers")
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _sentence(words: str, reason: str, text: str) -> str:
    extra = f" ({reason})" if reason else ""
    return f"{words}{extra}{': ' if text else ''}{text}"[:1000]


def _table(body: Json, name: str) -> Json:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _rows(body: Json, name: str) -> list[Json]:
    found = body.get(name)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _text(body: Json, name: str) -> str:
    found = body.get(name)
    return "" if found is None else str(found)
