"""Queues on the shared traces of accelerators: every rule of ours and of peers, with intervals, and the whole front.

`python -m bench.tables [--data DIR] [--quick] [--seeds N] [--trace NAME]` prints JSON lines, and on stderr a table for each trace:
mean and p99 of completion, mean wait, share of the cards used, share that stood idle although a waiting job asked
for no more (`fragmented`), and Jain's index over the virtual clusters' slowdowns. Figures are of the trace as it is; their 95 %
intervals are of runs with days drawn from it with replacement, and `less fifo` is the gain seed by seed over the first
rule. A rule is on the front if no other is better in one of mean completion, p99 and Jain's index and as good in the
others. What peers published for a trace stands beside; they did not publish p99, use or fragmentation.

Rows: `table_<trace>_<rule>_completion` (baseline: Lucid's FIFO where it was published for the trace, else our FIFO),
`..._completion_p99`, `..._wait`, `..._used`, `..._fragmented`, `..._jain`, `..._completion_low` and `..._high` (the interval) and
`..._on_front` (1 or 0). Carbon is in `bench.green`, `bench.bth` and `bench.carbon`, nodes in `bench.fragmentation`.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data import find_traces
from bench.rows import told
from bench.simulator import LUCID, TIRESIAS, Published, philly
from rich.console import Console
from rich.progress import track
from rich.table import Table

from hutong.sim.compare import Ground
from hutong.sim.conditions import Conditions
from hutong.sim.measures import Measures
from hutong.sim.rules import BackfillName, Lengths, Queueing, Rules
from hutong.sim.seeds import Estimate, summarise
from hutong.sim.sweep import Plan, cases_of, on_processes, sweep
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster, pooled

SRTF = Published("Lucid simulator, SRTF (preemptive, lengths known)", 21_741.1, 14_661.8, 229_745, 14)
# Parts of Philly.
TRACES = ("week1", "oct2017")
# By trace: research ran Lucid's own simulator on week 1 only (2026-11).
PEERS = {"week1": (*LUCID.values(), TIRESIAS, SRTF)}


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to run a trace: who is first, what passes whom, what is known of lengths, in one pool or in own ones."""

    queueing: Queueing
    backfill: BackfillName
    lengths: Lengths
    isolated: bool

    @property
    def name(self) -> str:
        """The rule as a row's name has it."""
        where = "isolated" if self.isolated else "pooled"
        return f"{self.queueing}_{self.backfill}_{self.lengths}_{where}"


RULES = tuple(
    Rule(queueing, backfill, lengths, isolated)
    for isolated in (True, False)
    for queueing, backfill, lengths in (
        (Queueing.FIFO, BackfillName.NONE, Lengths.KNOWN),
        (Queueing.SJF, BackfillName.NONE, Lengths.KNOWN),
        (Queueing.FIFO, BackfillName.EASY, Lengths.GUESSED),
        (Queueing.SJF, BackfillName.EASY, Lengths.GUESSED),
        (Queueing.FAIR, BackfillName.EASY, Lengths.GUESSED),
        (Queueing.FAIR, BackfillName.CONSERVATIVE, Lengths.GUESSED),
    )
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule comes to: on the trace as it is, and the mean completion over drawn days with its gain on FIFO."""

    rule: Rule
    as_it_is: Measures
    drawn: Estimate
    gain: Estimate | None

    @property
    def goals(self) -> tuple[float, float, float]:
        """What the front is about, less is better."""
        return self.as_it_is.completion_mean_s, self.as_it_is.completion_p99_s, -self.as_it_is.jain


def on_front(mine: Outcome, all_of_them: Sequence[Outcome]) -> bool:
    """True if no other is as good in everything and better in something."""
    return not any(
        other.goals != mine.goals and all(a <= b for a, b in zip(other.goals, mine.goals, strict=True))
        for other in all_of_them
    )


def outcomes(trace: Trace, cluster: Cluster, seeds: int) -> Iterator[Outcome]:
    """Run every rule once on the trace as it is, and on days drawn from it."""
    first = None
    for rule in track(RULES, "rules", console=Console(stderr=True), transient=True):
        ground = Ground(cluster if rule.isolated else pooled(cluster))
        rules = Rules((rule.queueing,), rule.backfill, rule.lengths)
        found = []
        for conditions, count in ((Conditions(), 1), (Conditions(resample=True), seeds)):
            plan = Plan(
                trace,
                ground,
                rules,
                cases_of(rules, (), count),
                isolated=rule.isolated,
                conditions=conditions,
            )
            found.append(sweep(plan, on_processes(0), quiet=True))
        (as_it_is,), drawn = found
        first = first or drawn
        gain = summarise([*first, *drawn], seeds)[1].against_first if drawn is not first else {}
        summary = summarise(drawn, seeds)[0]
        yield Outcome(
            rule, as_it_is.measures, summary.measures["completion_mean_s"], gain.get("completion_mean_s")
        )


def tell(name: str, found: Sequence[Outcome]) -> None:
    """Print the rows of a trace and, on stderr, its table."""
    peers = PEERS.get(name, ())
    base = peers[0] if peers else Published("our FIFO", found[0].as_it_is.completion_mean_s, 0, 0, 0)
    table = Table("rule", "completion", "95 %", "less fifo", "p99", "wait", "used", "fragm.", "Jain", "front")
    for each in found:
        of, row, front = each.as_it_is, f"table_philly_{name}_{each.rule.name}", on_front(each, found)
        told(f"{row}_completion", of.completion_mean_s, "s", base.peer, base.completion_s, less=True)
        told(f"{row}_completion_low", each.drawn.low, "s, days drawn")
        told(f"{row}_completion_high", each.drawn.high, "s, days drawn")
        told(f"{row}_completion_p99", of.completion_p99_s, "s")
        told(f"{row}_wait", of.wait_mean_s, "s")
        told(f"{row}_used", 100 * of.used, "%")
        told(f"{row}_fragmented", 100 * of.fragmented, "%")
        told(f"{row}_jain", of.jain, "index")
        told(f"{row}_on_front", front, "0 or 1")
        gain = f"{each.gain.mean:,.0f} [{each.gain.low:,.0f}, {each.gain.high:,.0f}]" if each.gain else ""
        table.add_row(
            each.rule.name, f"{of.completion_mean_s:,.0f}", f"{each.drawn.low:,.0f} to {each.drawn.high:,.0f}",
            gain, f"{of.completion_p99_s:,.0f}", f"{of.wait_mean_s:,.0f}", f"{of.used:.1%}",
            f"{of.fragmented:.1%}", f"{of.jain:.3f}", "yes" if front else "",
        )  # fmt: skip
    for peer in peers:
        table.add_row(peer.peer, f"{peer.completion_s:,.0f}", "", "", "", f"{peer.wait_s:,.0f}")
    table.title = f"Philly, {name}, seconds"
    console = Console(stderr=True)
    console.width = max(console.width, 140)  # ten columns need them, in a pipe too
    console.print(table)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data (default: HUTONG_DATA)")
    parser.add_argument("--quick", action="store_true", help="week 1 with three seeds: ends within 50 s")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trace", choices=TRACES, help="only this one")
    chosen = parser.parse_args()
    folder = find_traces(chosen.data)
    for name in [chosen.trace] if chosen.trace else TRACES[:1] if chosen.quick else TRACES:
        trace, cluster = philly(folder, name)
        tell(name, list(outcomes(trace, cluster, 3 if chosen.quick else chosen.seeds)))


if __name__ == "__main__":
    main()
