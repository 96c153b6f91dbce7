"""A paper as one HTML page: tables with bars drawn as SVG beside them; no script, nothing from elsewhere."""

from decimal import Decimal
from html import escape

from hutong.adapters.papers.paper import Paper, Table

HTML = "text/html; charset=utf-8"
BARS_MOST = 24
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--line:#d9dfe6;--bar:#2a6f97;
--back:#fff;--head:#f3f6f9}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9aa7b5;--line:#35404c;--bar:#61a5c2;
--back:#14191f;--head:#1c232b}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.55 system-ui,"Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif}
main{max-width:70rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
h1{font-size:1.9rem;line-height:1.25;margin:0 0 1.2rem}h2{font-size:1.2rem;margin:2.6rem 0 .8rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.25rem;margin:0;padding:1rem 1.25rem;
background:var(--head);border-radius:.5rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:baseline}
th{background:var(--head);font-weight:600;font-size:.86rem}td.n,th.n{text-align:right;white-space:nowrap}
th.n{white-space:normal}
tfoot td{font-weight:600;border-top:2px solid var(--ink)}
figure{margin:0 0 1rem}figcaption{color:var(--soft);font-size:.86rem;margin-bottom:.3rem}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font-size:13px}svg .v{fill:var(--soft)}
svg rect{fill:var(--bar)}
.notes{color:var(--soft);font-size:.86rem;padding-left:1.2rem}.none{color:var(--soft)}
@media print{main{padding:0;max-width:none}h2{break-after:avoid}tr,figure{break-inside:avoid}}
"""


def as_html(paper: Paper) -> bytes:
    """Return the bytes of the page."""
    about = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in paper.about)
    tables = "".join(_table(table) for table in paper.tables)
    notes = "".join(f"<li>{escape(note)}</li>" for note in paper.notes)
    title = escape(paper.title)
    page = (
        '<!doctype html><html lang="zh-Hans"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{title}</h1><dl>{about}</dl>{tables}<h2>说明 Notes</h2>"
        f'<ul class="notes">{notes}</ul></main></body></html>'
    )
    return page.encode()


def _table(table: Table) -> str:
    if not table.rows:
        return f'<section><h2>{escape(table.title)}</h2><p class="none">无数据 Nothing.</p></section>'
    kinds = [' class="n"' if column.number else "" for column in table.columns]
    heads = zip(kinds, table.columns, strict=True)
    head = "".join(f'<th scope="col"{kind}>{escape(column.title)}</th>' for kind, column in heads)
    rows = "".join(f"<tr>{_cells(row, kinds)}</tr>" for row in table.rows)
    foot = f"<tfoot><tr>{_cells(table.total, kinds)}</tr></tfoot>" if table.total else ""
    return (
        f"<section><h2>{escape(table.title)}</h2>{_bars(table)}"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>{foot}</table></div>'
        "</section>"
    )


def _cells(row: tuple[str, ...], kinds: list[str]) -> str:
    pairs = zip(row, kinds, strict=True)
    return "".join(f"<td{kind}>{escape(_grouped(text) if kind else text)}</td>" for text, kind in pairs)


def _grouped(text: str) -> str:
    """Return a decimal with its thousands apart."""
    return f"{Decimal(text):,}" if text else "–"


def _bars(table: Table) -> str:
    """Return a bar for each of the first rows: the table below says the same in figures."""
    at = table.chart
    if at is None:
        return ""
    names = [place for place, column in enumerate(table.columns) if not column.number]
    found = [(" · ".join(row[place] for place in names), Decimal(row[at])) for row in table.rows if row[at]][
        :BARS_MOST
    ]
    most = max((value for _, value in found), default=Decimal(0))
    if most <= 0:
        return ""
    step, left, wide = 26, 250, 520
    bars = "".join(
        f'<text x="{left - 10}" y="{n * step + 17}" text-anchor="end">{escape(_short(name))}</text>'
        f'<rect x="{left}" y="{n * step + 5}" width="{max(0, int(wide * value / most))}" height="16" rx="2"/>'
        f'<text class="v" x="{left + max(0, int(wide * value / most)) + 8}" y="{n * step + 17}">'
        f"{escape(_grouped(str(value)))}</text>"
        for n, (name, value) in enumerate(found)
    )
    title = escape(table.columns[at].title)
    label = f"{escape(table.title)}: {title}"
    return (
        f'<figure><figcaption>{title}</figcaption><svg viewBox="0 0 900 {len(found) * step + 6}" role="img" '
        f'aria-label="{label}">{bars}</svg></figure>'
    )


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"
