"""A report of simulated runs as one HTML file that needs nothing else: figures, queues, use and waits."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hutong.core.kernel.errors import Refused
from hutong.sim import cuts
from hutong.sim.compare import Result
from hutong.sim.figures import figures_of
from hutong.sim.runs import Run
from hutong.sim.seeds import Summary, figure_rows
from hutong.sim.trace import Trace
from hutong.sim.world import Cluster

_WIDTH, _HEIGHT, _POINTS = 860, 200, 400
_COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#8f6593", "#b08900", "#444444")

Floats = npt.NDArray[np.float64]


def write_report(
    path: Path, trace: Trace, cluster: Cluster, found: Sequence[Result], seeds: Sequence[Summary] = ()
) -> None:
    """Write the report; raises Refused if the file cannot be written."""
    try:
        path.write_text(report(trace, cluster, found, seeds), encoding="utf-8")
    except OSError as error:
        raise Refused("simulation", f"{path} cannot be written: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Raise Refused if a report cannot be written there, before anything is run for it."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise Refused("simulation", f"{path} cannot be written: name a file in a folder that is there")


def report(trace: Trace, cluster: Cluster, found: Sequence[Result], seeds: Sequence[Summary] = ()) -> str:
    """Return the page; `found` are runs that were kept, `seeds` sum up many runs of the rules of each."""
    figures = figures_of(found)
    runs = [(each.rules, each.run) for each in found if each.run is not None]
    end_s = max(each.measures.makespan_s for each in found)
    at = np.linspace(0, end_s, _POINTS)
    used = [(name, in_use(trace, run, at) / cluster.cards) for name, run in runs]
    waits = [(name, waiting(trace, run, at)) for name, run in runs]
    spread = [(name, _quantiles(run.waited_s(trace.submit_s))) for name, run in runs]
    tables = "".join(f"<p>{_table(heads, rows)}" for heads, rows in figures.tables)
    days = f"{end_s / 86_400:.1f} days"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulation</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}"
        "td,th{border-bottom:1px solid #ddd}"
        "td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}</style>"
        f"<h1>{escape(trace.name)}</h1><p>{len(trace):,} jobs, {cluster.cards:,} cards in "
        f"{len(cluster.names)} pools. {escape(trace.source)}</p><p>{escape(figures.shared)}</p>{tables}"
        f"{_over_seeds(seeds)}"
        f"<h2>Cards in use</h2>{_plot(used, days, '100 %')}"
        f"<h2>Jobs waiting</h2>{_plot(waits, days, f'{max(line.max() for _, line in waits):,.0f}')}"
        f"<h2>Waits, from the shortest to the longest (log)</h2>"
        f"{_plot(spread, 'all jobs', '10^7 s')}</html>"
    )


def _over_seeds(seeds: Sequence[Summary]) -> str:
    if not seeds:
        return ""
    names = ["", *(each.rules for each in seeds)]
    means = figure_rows([(each.rules, {**each.measures, **each.footprint}) for each in seeds])
    page = f"<h2>Over {len(seeds[0].digests)} seeds: means [95 % interval]</h2>{_table(names, means)}"
    if len(seeds) > 1:
        gains = figure_rows([(each.rules, each.against_first) for each in seeds[1:]])
        page += f"<h2>Less {escape(seeds[0].rules)}, seed by seed</h2>"
        page += _table(names[:1] + names[2:], gains)
    return f"{page}<p>The first tables and the plots are of seed 1.</p>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def in_use(trace: Trace, run: Run, at: Floats) -> Floats:
    """Return how many cards are in use at each moment."""
    held = run.attempts
    return _level(held.start_s, held.end_s, trace.cards[held.job], at)


def waiting(trace: Trace, run: Run, at: Floats) -> Floats:
    """Return how many jobs wait at each moment."""
    held, cut = run.attempts, run.cut
    begin = np.concatenate([trace.submit_s, cut[:, cuts.END]])
    return _level(begin, held.start_s, np.ones(len(begin), np.int64), at)


def _level(
    begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64], amount: npt.NDArray[np.int64], at: Floats
) -> Floats:
    def upto(times: npt.NDArray[np.int64]) -> Floats:
        order = np.argsort(times, kind="stable")
        summed = np.concatenate([[0], np.cumsum(amount[order])])
        found: Floats = summed[np.searchsorted(times[order], at, side="right")].astype(np.float64)
        return found

    return upto(begin) - upto(end)


def _quantiles(wait: npt.NDArray[np.int64]) -> Floats:
    found: Floats = np.log10(1 + np.quantile(wait, np.linspace(0, 1, _POINTS))) / 7
    return found


def _plot(lines: Sequence[tuple[str, Floats]], right: str, top: str) -> str:
    most = max(1.0, *(float(line.max()) for _, line in lines))
    paths, names = [], []
    for place, (name, line) in enumerate(lines):
        colour = _COLOURS[place % len(_COLOURS)]
        x = np.linspace(0, _WIDTH, len(line))
        points = " ".join(f"{a:.1f},{_HEIGHT - b / most * _HEIGHT:.1f}" for a, b in zip(x, line, strict=True))
        paths.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        names.append(f'<span style="color:{colour}">&#9632; {escape(name)}</span>')
    return (
        f'<svg viewBox="0 -4 {_WIDTH} {_HEIGHT + 24}" role="img">{"".join(paths)}'
        f'<line x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}" stroke="#999"/>'
        f'<text x="0" y="12" font-size="12">{escape(top)}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" font-size="12" text-anchor="end">{escape(right)}</text>'
        f"</svg><p>{' '.join(names)}</p>"
    )
