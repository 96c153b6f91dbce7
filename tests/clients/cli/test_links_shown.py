"""What was learnt of a way is shown below the links."""

import pytest

from hutong.clients.cli.link_commands import _show
from hutong.wire.links import Link
from hutong.wire.sites import Learnt, Site


def shown(capsys: pytest.CaptureFixture[str], **learnt: tuple[int, int, bool]) -> list[str]:
    """Return the lines of what is said below a table of one link."""
    link = Link(id="a|b", one="platform", other="site/bj", bits_per_s=10**10, rtt_us=0, source="a test")
    sites = [
        Site.model_construct(
            id=name,
            learnt=Learnt(bits_per_s=bits, transfers=count, at="2026-11-29T00:00:00.000Z", counts=counts),
        )
        for name, (bits, count, counts) in learnt.items()
    ]
    _show([link], [*sites, Site.model_construct(id="hu", learnt=None)])
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("learnt")]


def test_each_way_says_how_fast_it_was_and_whether_that_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == []
    assert shown(capsys, bj=(2 * 10**9, 12, True), tj=(499_999_999, 4, False)) == [
        "learnt: platform to site/bj 2,000 Mbit/s by 12 transfers, which counts",
        "learnt: platform to site/tj 500 Mbit/s by 4 transfers, too few to count",
    ]
