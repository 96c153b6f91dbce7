"""Meters: counters and histograms that cost nothing to keep, in Prometheus' text form."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Meters:
    """The meters of one process. Labels are route templates and closed sets, never what a user typed."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "hutong_http_requests",
            "Answered requests.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "hutong_http_seconds", "Time to the end of the answer.", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._jobs = Counter("hutong_jobs_submitted", "Jobs written down.", registry=self.registry)
        self._groups = Histogram(
            "hutong_submit_group_size", "Jobs in one commit of single submissions.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512), registry=self.registry,
        )  # fmt: skip
        self._turns = Histogram(
            "hutong_loop_turn_seconds",
            "Time of one turn of the loop.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._facts = Counter(
            "hutong_loop_facts", "Facts that the loop wrote.", ("kind",), registry=self.registry
        )
        self._reports = Counter(
            "hutong_agent_reports", "Reports of agents.", ("site", "outcome"), registry=self.registry
        )
        self._drift = Gauge(
            "hutong_reconciliation_drift",
            "Differences of a site's last complete day that will stay.",
            ("site",),
            registry=self.registry,
        )
        self._streams = Gauge("hutong_open_streams", "Streams open now.", registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the template, such as `/v1/jobs/{job}`."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def submitted(self, jobs: int) -> None:
        """Count jobs written down."""
        self._jobs.inc(jobs)

    def group(self, size: int) -> None:
        """Note how many single submissions one commit took."""
        self._groups.observe(size)

    def turn(self, seconds: float) -> None:
        """Note the time of one turn of the loop."""
        self._turns.observe(seconds)

    def fact(self, kind: str, count: int = 1) -> None:
        """Count facts that the loop wrote, by kind."""
        self._facts.labels(kind).inc(count)

    def reports(self, site: str, news: int, repeats: int) -> None:
        """Count reports of a site's agent."""
        self._reports.labels(site, "news").inc(news)
        self._reports.labels(site, "repeat").inc(repeats)

    def drift(self, site: str, count: int) -> None:
        """Note how many differences a site's last complete day has between accounting and ledger."""
        self._drift.labels(site).set(count)

    def streams(self, change: int) -> None:
        """Count an opened (+1) or closed (-1) stream."""
        self._streams.inc(change)

    def render(self) -> bytes:
        """Return all meters as text."""
        return generate_latest(self.registry)
