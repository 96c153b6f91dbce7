"""The Kubernetes engine: attempts as Jobs whose pods share the folder of the attempt on one volume."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from hutong.adapters.engines.attempt import files, supervise
from hutong.adapters.engines.attempt.engine import FolderEngine, claimed
from hutong.adapters.engines.attempt.origin import check_origin, own_origin
from hutong.adapters.engines.attempt.programs import collect_programs, install_payloads, install_programs
from hutong.adapters.engines.attempt.signs import Signs
from hutong.adapters.engines.attempt.supervise import Verdict
from hutong.adapters.engines.base import Abilities, Order, Receipt, Seen
from hutong.adapters.engines.kubernetes import build, parse
from hutong.adapters.engines.kubernetes import nodes as nodes_of
from hutong.adapters.engines.kubernetes.cluster import Cluster
from hutong.adapters.engines.kubernetes.config import KubernetesConfig, KubernetesPool
from hutong.adapters.engines.kubernetes.parse import Pod, Work
from hutong.core.capacity.sites import PoolState
from hutong.core.kernel.errors import Later, Problem, Refused
from hutong.core.kernel.ids import AttemptKey, split_key
from hutong.core.work.states import AttemptState, Category

_log = structlog.get_logger("hutong.engines.kubernetes")
_SUBMITTED = "submitted.json"
_SETTLE_S = 5.0
_OVERDUE_S = 30.0
_AGAIN_S = 10.0
_SAY_S = 5.0
_CAPACITY_S = 30.0
_AT_ONCE = 20


class KubernetesEngine(FolderEngine):
    """Creates objects in one cluster and follows them by the attempt's key, which they bear as a label.

    The folder of an attempt says how it ended, and wins over the cluster's word. Before anything is said of
    an attempt that has not begun, its beginning is taken away from it: then it cannot begin later. `ticks`
    gives milliseconds that never jump.
    """

    def __init__(self, config: KubernetesConfig, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        build.check(config)
        root = config.folder.root.resolve()
        payloads = install_payloads(config.folder.payloads, root / "programs")
        super().__init__(replace(config.folder, payloads=payloads, isolation="none"), clock)
        user = os.geteuid() if config.user is None else config.user
        group = os.getegid() if config.group is None else config.group
        self._kubernetes = replace(config, user=user, group=group)
        self._ticks = ticks
        self._programs = install_programs(root / "programs")
        collect_programs(root / "programs", (self._programs, payloads), self._attempts)
        self._root = root
        self._origin = own_origin(root)
        self._cluster = Cluster(self._kubernetes, self._origin)
        self._pods: dict[str, list[Pod]] = {}
        self._works: dict[str, list[Work]] = {}
        self._signs = Signs(ticks)
        self._said: dict[AttemptKey, str] = {}
        self._nodes: list[nodes_of.Node] = []
        self._capacity: tuple[PoolState, ...] = ()
        self._capacity_ms: float = float("-inf")
        self.abilities = Abilities(gangs=True, services=True, preemption=True, isolation="pod")

    def close(self) -> None:
        """Follow the cluster no more."""
        self._cluster.close()

    def submit(self, order: Order) -> Receipt:
        """Create the attempt's objects unless they are there already."""
        pool = self._pool(order)
        folder = self._claim(order.key)
        place = build.namespace(self._kubernetes, order.project)
        external = f"{place}/{order.key}"
        if folder is None or claimed(folder) or (folder / _SUBMITTED).exists():
            return Receipt(external, adopted=True)
        shape = self._cluster.shape(pool)
        self._write_job(folder, order)
        wanted = build.objects(order, self._kubernetes, self._origin, _fence(folder), self._programs, shape)
        wanted = build.hold(wanted) if self._cluster.holds(place) else wanted
        created: list[bool] = []
        try:
            for collection, body in wanted:
                created.append(self._cluster.ensure(collection, body))
        except Refused:
            made = wanted[: len(created)]
            self._cluster.discard(f"{collection}/{body['metadata']['name']}" for collection, body in made)
            raise
        files.write_json(folder / _SUBMITTED, {"external": external, "at_ms": self._clock()})
        return Receipt(external, adopted=not created[-1])

    def observe(self) -> tuple[Seen, ...]:
        """Read what the cluster has of ours, then the folders. Raises Later if it does not answer."""
        check_origin(self._root, self._origin)
        try:
            self._pods, self._works = self._cluster.ours()
        except Later:
            self._signs.none("missing")  # only what we are in touch with proves that something is missing
            raise
        self._heed_deletions()
        seen = super().observe()
        try:
            self._clear_away()
        except (Later, Refused) as error:
            _log.warning("objects that should go were not deleted", why=str(error))
        return seen

    def capacity(self) -> tuple[PoolState, ...]:
        """Return what nodes and pods say of each pool; asked anew every 30 s."""
        now = self._ticks()
        if now - self._capacity_ms >= _CAPACITY_S * 1000:
            try:
                self._nodes, uses = self._cluster.nodes(), self._cluster.uses()
            except Refused as error:
                _log.warning("pools are taken as declared", why=error.message)
                self._nodes, self._capacity = [], ()
            else:
                pools, now_s = self._kubernetes.pools, self._clock() // 1000
                self._capacity = nodes_of.pool_states(pools, self._nodes, uses, now_s)
            self._capacity_ms = now
        return self._capacity

    def forget(self, key: AttemptKey) -> None:
        """Delete what is left of an ended attempt, here and in the cluster."""
        super().forget(key)
        self._signs.forget(key)
        self._said.pop(key, None)

    def _pool(self, order: Order) -> KubernetesPool:
        pool = self._kubernetes.pools.get(order.attempt.pool)
        if pool is None:
            text = f"pool {order.attempt.pool!r} is not in the agent's configuration"
            fix = f"add [engine.pools.{order.attempt.pool}]"
            raise Refused("unknown_pool", text, (Problem("/pools", text, fix),))
        return pool

    def _write_job(self, folder: Path, order: Order) -> None:
        """Write what the pods must know, the order last; what is there already may be in use."""
        if (folder / files.ORDER).exists():
            return
        self._write_token(folder)
        self._write_secrets(folder, order)
        launcher = build.launcher(order, self._kubernetes, order.attempt.pool, self._programs, folder)
        self._write_order(folder, order, launcher)

    def _look(self, key: AttemptKey) -> Seen | None:
        folder = self._attempts / key
        submitted = files.read_json(folder / _SUBMITTED)
        external = submitted["external"] if submitted else ""
        seen = self._seen_end(key, external)
        if seen is not None:
            return seen
        stop = files.read_json(folder / files.STOP)
        if stop is not None and self._fenced(folder):
            self._write_end(key, supervise.stop_verdict(stop), stop["at_ms"])
            return self._seen_end(key, external)
        began = files.read_json(folder / files.BEGAN)
        if began is None and submitted is None:
            return None
        verdict = self._after(key, folder, began["identity"]) if began else self._before(key, folder)
        if verdict is not None and (began or self._fenced(folder)):
            self._write_end(key, supervise.stop_verdict(stop) if stop else verdict)
            return self._seen_end(key, external)
        return self._seen(key, AttemptState.STARTING if began else AttemptState.PENDING, external)

    def _before(self, key: AttemptKey, folder: Path) -> Verdict | None:
        """Return how an attempt came to its end before it began; None while it may still begin."""
        pods, works = self._present(key), self._works.get(key, [])
        if not works and not pods:
            lasts = self._signs.lasts(key, "missing") >= self._kubernetes.lag_s
            return parse.verdict((), ()) if lasts else None
        self._signs.over(key, "missing")
        over = [each for each in works if each.over]
        if over and self._holds(key, "over", _SETTLE_S):
            return self._verdict(key, folder, self._pods.get(key, []), over)
        self._say_why(key, folder, pods)
        stuck = next((each for each in pods if each.stuck), None)
        if stuck and self._holds(key, "stuck", self._kubernetes.stuck_s):
            return Verdict("FAILED", "infra", f"pod {stuck.name} cannot start: {stuck.waits}")
        up = sum(each.phase == "Running" for each in pods)
        order = files.read_json(folder / files.ORDER) or {}
        hopeless = any(each.unplaced for each in pods) and self._hopeless(order["launcher"])
        if hopeless and self._holds(key, "hopeless", self._kubernetes.stuck_s):
            return Verdict("FAILED", "infra", "no node of the pool is large enough for it")
        wanted = order["spec"]["num_nodes"]
        if 0 < up < wanted and self._holds(key, "half", self._kubernetes.meet_s):
            return Verdict("FAILED", "infra", f"{up} of {wanted} pods came up in time")
        half = 0 < up < wanted
        for sign, so in (("over", over), ("stuck", stuck), ("half", half), ("hopeless", hopeless)):
            if not so:
                self._signs.over(key, sign)
        return None

    def _hopeless(self, launcher: Mapping[str, Any]) -> bool:
        """Return whether no node, were it empty, could take a pod; False where nodes are not known."""
        pool = self._kubernetes.pools.get(launcher["pool"])
        if pool is None or not self._nodes:
            return False
        wanted = {name: nodes_of.quantity(amount) for name, amount in launcher["requests"].items()}
        return not any(nodes_of.suits(node, pool) and nodes_of.fits(node, wanted) for node in self._nodes)

    def _after(self, key: AttemptKey, folder: Path, identity: str) -> Verdict | None:
        """Return how an attempt that began and left no end came to one; None while it may well go on."""
        pods = self._pods.get(key, [])
        lead = next((each for each in pods if f"{each.name}/{each.uid}" == identity), None)
        if lead is None or not lead.ended:
            if self._signs.pulse(key, files.read_pulse(folder), self._kubernetes.beat_dead_s):
                return None
            if lead is not None and not (lead.over or lead.silent):
                return None
        if not self._holds(key, "over", self._kubernetes.lag_s if lead is None else _SETTLE_S):
            return None
        return self._verdict(key, folder, pods, self._works.get(key, []))

    def _verdict(self, key: AttemptKey, folder: Path, pods: Sequence[Pod], works: Sequence[Work]) -> Verdict:
        events = self._cluster.events([each for each in pods if each.leaving or each.gone])
        faults = (
            files.read_json(path) for path in sorted(folder.glob(files.fault_name(0).replace("0", "*")))
        )
        fault = next((each["reason"] for each in faults if each), "")
        verdict = parse.verdict(pods, works, events, fault)
        _log.info("settled by the cluster's word", key=key, reason=verdict.reason)
        return verdict

    def _holds(self, key: AttemptKey, what: str, seconds: float) -> bool:
        return self._signs.lasts(key, what) >= seconds

    def _present(self, key: AttemptKey) -> list[Pod]:
        return [each for each in self._pods.get(key, []) if not each.gone]

    def _say_why(self, key: AttemptKey, folder: Path, pods: Sequence[Pod]) -> None:
        """Tell the job's owner in its log why it waits, once for each reason that lasts."""
        text = "; ".join(sorted({each.waits for each in pods if each.waits}))
        if not text or text == self._said.get(key):
            return
        if self._holds(key, f"waits {text}", _SAY_S):
            self._said[key] = text
            with (folder / files.log_name(-1)).open("ab") as log:
                log.write(files.our_line(f"waiting: {text}"[:2000]))

    def _fenced(self, folder: Path) -> bool:
        """Take an attempt's beginning away from it; False if it began."""
        files.create_json(folder / files.BEGAN, {"fenced": True, "identity": ""})
        return "fenced" in (files.read_json(folder / files.BEGAN) or {})

    def _heed_deletions(self) -> None:
        """Stop what somebody at the site has deleted while it waited or ran; it stays until that is noted."""
        for name, works in self._works.items():
            if not any(each.leaving and each.held and not each.over for each in works):
                continue
            key, folder = AttemptKey(name), self._attempts / name
            known = [folder / name for name in (files.STOP, files.END)]
            named = split_key(key)
            if named is None or not folder.exists() or any(path.exists() for path in known):
                continue
            try:
                self.stop(key, named[1], Category.INFRA, parse.DELETED)
            except OSError as error:
                _log.warning("a deletion was not noted yet", key=key, why=str(error))
            else:
                _log.info("stopped, for somebody deleted its job", key=key)

    def _clear_away(self) -> None:
        """Let go of what is noted, delete what should have ended or ended long ago; some at a time."""
        left = _AT_ONCE
        for name, works in self._works.items():
            key, goes = AttemptKey(name), self._should_go(AttemptKey(name))
            held = [each for each in works if each.held]
            noted = held and (goes or files.read_json(self._file(key, files.END)) is not None)
            if noted and self._signs.due(key, "released", _AGAIN_S):
                for work in held:
                    self._cluster.release(work)
                left -= 1
            if goes and self._signs.due(key, "deleted", _AGAIN_S):
                self._cluster.delete(works[0].namespace, key, works)
                left -= 1
            if left <= 0:
                return

    def _should_go(self, key: AttemptKey) -> bool:
        folder = self._attempts / key
        if not folder.exists():
            return True
        stop = files.read_json(folder / files.STOP)
        if stop is not None and self._holds(key, "stop", stop["grace_s"] + _OVERDUE_S):
            return True
        end = files.read_json(folder / files.END)
        if end is None:
            return False
        if all(each.over for each in self._present(key)) and end["started_ms"]:
            return bool(self._clock() - end["ended_ms"] > self._kubernetes.keep_s * 1000)
        began = files.read_json(folder / files.BEGAN) or {}
        return "fenced" in began or self._holds(key, "ended", _OVERDUE_S)


def _fence(folder: Path) -> str:
    """Return what tells this attempt's objects from those of another of the same key."""
    token = (files.read_json(folder / files.TOKEN) or {})["token"]
    return hashlib.sha256(f"fence {token}".encode()).hexdigest()[:16]
