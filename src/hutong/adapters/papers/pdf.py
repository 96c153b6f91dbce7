"""A paper as PDF, A4. Chinese is set in a font that every reader brings along, so that none is packed in."""

import io
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus import Table as Grid

from hutong.adapters.papers.paper import Paper, Table

_FONT = "STSong-Light"  # one of the fonts of Adobe's Asian font packs, known to PDF readers
_MARGIN = 16 * mm


def as_pdf(paper: Paper) -> bytes:
    """Return the bytes of the PDF: the same paper always gives the same bytes."""
    pdfmetrics.registerFont(UnicodeCIDFont(_FONT))
    plain = ParagraphStyle("plain", fontName=_FONT, fontSize=8.5, leading=11, wordWrap="CJK")
    right = ParagraphStyle("right", parent=plain, alignment=2, wordWrap=None)
    title = ParagraphStyle("title", parent=plain, fontSize=15, leading=20, spaceAfter=8)
    heading = ParagraphStyle("heading", parent=plain, fontSize=11, leading=15, spaceBefore=10, spaceAfter=4)
    story: list[Flowable] = [Paragraph(escape(paper.title), title)]
    about = [[Paragraph(escape(text), plain) for text in pair] for pair in paper.about]
    if about:
        story.append(
            Grid(about, colWidths=[45 * mm, None], hAlign="LEFT", style=[("VALIGN", (0, 0), (-1, -1), "TOP")])
        )
    for table in paper.tables:
        story.append(Paragraph(escape(table.title), heading))
        story.append(_grid(table, plain, right))
    story.append(Spacer(1, 6 * mm))
    story += [Paragraph(escape(note), plain) for note in paper.notes]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, title=paper.title, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN,
        bottomMargin=_MARGIN, invariant=1,
    )  # fmt: skip
    document.build(story)
    return out.getvalue()


def _grid(table: Table, plain: ParagraphStyle, right: ParagraphStyle) -> Grid:
    styles = [right if column.number else plain for column in table.columns]
    rows = [[column.title for column in table.columns], *table.rows, *((table.total,) if table.total else ())]
    cells = [
        [Paragraph(escape(text), style) for text, style in zip(row, styles, strict=True)] for row in rows
    ]
    look = TableStyle(
        [
            ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
            ("LINEBELOW", (0, 1), (-1, -1), 0.2, colors.lightgrey),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )
    if table.total:
        look.add("LINEABOVE", (0, -1), (-1, -1), 0.8, colors.black)
    return Grid(cells, repeatRows=1, style=look)
