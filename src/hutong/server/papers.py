"""Statements and invoices as papers, in Chinese and English side by side."""

from collections.abc import Iterable

from hutong.adapters.papers.paper import Column, Paper, Table
from hutong.wire import statements as w
from hutong.wire.base import Money

_PLACES = 6
_AMOUNT = Column("金额 Amount, CNY", number=True, places=_PLACES)
_FEN = Column("金额 Amount, CNY", number=True)


def statement_paper(statement: w.Statement, issuer: str, payer: str) -> Paper:
    """Return a statement as a paper; `issuer` and `payer` are names in both languages."""
    return Paper(
        f"对账单 Statement {statement.period}",
        (
            ("出具方 Issued by", issuer),
            ("机构 Institution", payer),
            ("项目 Project", statement.project),
            ("期间 Period", f"{statement.start} - {statement.end}"),
            ("状态 State", "已结账 final" if statement.final else "未结账 not closed yet"),
        ),
        (
            Table(
                "用量 Use",
                (
                    Column("中心 Site"), Column("资源 Resource"), Column("单位 Unit"),
                    Column("数量 Quantity", number=True, places=_PLACES),
                    Column("单价 Price, CNY", number=True, places=_PLACES), _AMOUNT,
                ),
                tuple(
                    (line.site, line.sku, line.unit, line.quantity, line.price.amount, line.amount.amount)
                    for line in statement.use
                ),
                ("合计 Total", "", "", "", "", statement.used.amount),
            ),
            Table(
                "抵扣与更正 Credits and corrections",
                (Column("种类 Kind"), Column("来源 Source"), _AMOUNT),
                tuple((line.kind, line.source, line.amount.amount) for line in statement.credits),
            ),
            Table(
                "资金批次 Lots",
                (
                    Column("批次 Lot"), *(
                        Column(title, number=True, places=_PLACES)
                        for title in ("期初 Opening", "转入 Given", "支出 Taken", "期末 Closing")
                    ),
                ),
                tuple(
                    (lot.lot, lot.opening.amount, lot.given.amount, lot.taken.amount, lot.closing.amount)
                    for lot in statement.lots
                ),
            ),
            Table(
                "汇总 Summary",
                (Column(""), _AMOUNT),
                _summary(statement),
                ("应付 Billed", statement.billed.amount),
            ),
        ),
        ("金额为人民币,精确到百万分之一元。 Amounts are CNY, exact to the micro-yuan.",),
    )  # fmt: skip


def _summary(statement: w.Statement) -> tuple[tuple[str, str], ...]:
    return tuple(
        (label, money.amount)
        for label, money in (
            ("用量 Use", statement.used),
            ("预付款支付 Paid from what was paid in advance", statement.used_in_advance),
            ("预付 Paid in advance", statement.paid_in_advance),
            ("其中更正前期 Of this, corrections of earlier periods", statement.corrections),
            ("期初欠款 Owed at the beginning", statement.owed_opening),
            ("期末欠款 Owed at the end", statement.owed_closing),
        )
    )


def invoice_paper(invoice: w.Invoice, issuer: str, payer: str) -> Paper:
    """Return an invoice or credit note as a paper."""
    title = "贷项通知 Credit note" if invoice.credits else "账单 Invoice"
    about = [
        ("编号 Number", invoice.number),
        ("出具方 Issued by", issuer),
        ("机构 Institution", payer),
        ("期间 Period", f"{invoice.start} - {invoice.end}"),
        ("日期 Issued", invoice.issued),
        (
            "状态 State",
            f"{'已付 paid' if invoice.state == 'paid' else '未付 unpaid'} {invoice.paid_reference}",
        ),
    ]
    about += _where(("冲减账单 Credits", invoice.credits), ("原因 Reason", invoice.reason))
    about += _where(("数电票号 Tax invoice", invoice.tax_reference))
    tables = [
        Table(
            "明细 Lines",
            (
                Column("项目 Project"), Column("内容 What"), Column("单位 Unit"),
                Column("数量 Quantity", number=True, places=_PLACES),
                Column("单价 Price, CNY", number=True, places=_PLACES), _FEN,
            ),
            tuple(
                (line.project, line.what, line.unit, line.quantity, _amount(line.price), line.amount.amount)
                for line in invoice.lines
            ),
            ("合计 Total", "", "", "", "", invoice.total.amount),
        )
    ]  # fmt: skip
    if invoice.cost_centres:
        columns = (Column("项目 Project"), Column("成本中心 Cost centre"), _FEN)
        rows = tuple((each.project, each.name, each.amount.amount) for each in invoice.cost_centres)
        tables.append(Table("成本中心分摊 Cost centres", columns, rows))
    note = "按最大余数法舍入到分。 Rounded to fen by largest remainder."
    return Paper(f"{title} {invoice.number}", tuple(about), tuple(tables), (note,))


def _where(*pairs: tuple[str, str]) -> Iterable[tuple[str, str]]:
    return [pair for pair in pairs if pair[1]]


def _amount(money: Money | None) -> str:
    return money.amount if money else ""
