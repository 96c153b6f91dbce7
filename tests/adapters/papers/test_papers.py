"""Papers: what was written can be read again, by other people's readers."""

import io
from decimal import Decimal

import openpyxl
import pypdf

from hutong.adapters.papers.paper import Column, Paper, Table
from hutong.adapters.papers.pdf import as_pdf
from hutong.adapters.papers.xlsx import as_xlsx

PAPER = Paper(
    "结算单 Statement 2026-11",
    (("机构 Institution", "示范大学 Demonstration University"), ("项目 Project", "poems <&> =1+1")),
    (
        Table(
            "用量 Use",
            (
                Column("资源 Resource"),
                Column("数量 Quantity", number=True, places=6),
                Column("CNY", number=True),
            ),
            (("east H100 card-hours", "12.500000", "125.00"), ("=HYPERLINK(1)", "-1.000000", "-0.01")),
            ("合计 Total", "", "124.99"),
        ),
    ),
    ("Rounded to fen by largest remainder.",),
)


def test_a_spreadsheet_has_numbers_as_numbers_and_texts_as_texts() -> None:
    book = openpyxl.load_workbook(io.BytesIO(as_xlsx(PAPER)))
    sheet = book[book.sheetnames[1]]
    rows = [tuple(cell.value for cell in row) for row in sheet.iter_rows()]
    assert rows[0] == ("资源 Resource", "数量 Quantity", "CNY")
    assert rows[1][2] == 125
    assert rows[2][0] == "=HYPERLINK(1)"
    assert sheet.cell(3, 1).data_type == "s", "a text is never a formula"
    assert sum(Decimal(str(row[2])) for row in rows[1:3]) == Decimal("124.99")


def test_a_pdf_has_every_text_in_both_languages() -> None:
    reader = pypdf.PdfReader(io.BytesIO(as_pdf(PAPER)))
    text = "".join(page.extract_text() for page in reader.pages)
    assert "Demonstration University" in text
    assert "poems <&> =1+1" in text
    assert "124.99" in text
    assert "示范大学" in text


def test_the_same_paper_gives_the_same_bytes() -> None:
    assert as_pdf(PAPER) == as_pdf(PAPER)


def test_a_long_table_goes_over_several_pages_with_its_heading_on_each() -> None:
    table = PAPER.tables[0]
    long = Paper("T", (), (Table("t", table.columns, table.rows * 200),))
    pages = pypdf.PdfReader(io.BytesIO(as_pdf(long))).pages
    assert len(pages) > 3
    assert all("Quantity" in page.extract_text() for page in pages)
