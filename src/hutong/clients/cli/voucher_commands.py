"""Commands about vouchers: programmes, issue, bind, claim, redeem, claw back; checks that change nothing."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hutong.clients.cli.account_commands import build
from hutong.clients.cli.files import read_document
from hutong.clients.cli.money_commands import read_time
from hutong.clients.cli.session import Json, Limit, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import local, money, rows_of, say, show_json, table
from hutong.core.kernel.errors import Problem, Refused
from hutong.core.kernel.money import format_micro, parse_micro
from hutong.wire import vouchers as v
from hutong.wire.base import Money
from hutong.wire.subsidies import SubsidyProgramme

Programmes = Annotated[str, typer.Argument(metavar="PROGRAMME", show_default=False)]
VoucherId = Annotated[str, typer.Argument(metavar="VOUCHER", show_default=False)]
ClaimId = Annotated[str, typer.Argument(metavar="CLAIM", show_default=False)]
ContractFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="YAML; see docs/user/vouchers.md.", show_default=False)
]
ContractOption = Annotated[str, typer.Option("--contract", help="The contract's id.")]
Face = Annotated[str, typer.Option("--face", help="Yuan; else as much as rates and caps leave.")]
Side = Annotated[str, typer.Option("--as", help="demander (who rents) or supplier (who provides).")]
Start = Annotated[str, typer.Option("--from", help="From this time on (RFC 3339 or a date).")]
End = Annotated[str, typer.Option("--to", help="Before this time (RFC 3339 or a date).")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
Proofs = Annotated[
    list[str] | None,
    typer.Option("--evidence", "-e", help="ITEM=REFERENCE, such as invoice=0451. Once for each."),
]
Key = Annotated[str, typer.Option("--key", help="The same key again is the same request, done once.")]


def programmes(
    name: Annotated[str, typer.Argument(metavar="[PROGRAMME]", help="One, clause by clause.")] = "",
    as_json: Json = False,
) -> None:
    """List subsidy programmes, or show one clause by clause with its sources.

    Example: hutong vouchers programmes beijing-2023
    """
    with connect() as client:
        found = [client.programmes.get(name)] if name else list(client.programmes.list())
    if as_json:
        show_json(found[0] if name else found)
    elif name:
        _show_programme(found[0])
    else:
        rows = [(each.id, each.pays, each.name.en, each.name.zh) for each in found]
        rows_of(table("programme", "pays at", "name", "名称"), rows, "no programmes")


def contract(file: ContractFile, as_json: Json = False) -> None:
    """Enter a contract for computing (operators).

    Example: hutong vouchers contract contract.yaml
    """
    with connect() as client:
        made = client.contracts.create(read_document(v.NewContract, file))
    if as_json:
        show_json(made)
    else:
        say(f"contract {made.id}: {made.demander} rents from {made.provider} for {money(made.amount)}")


def standing(
    institution: Annotated[str, typer.Argument(metavar="INSTITUTION", show_default=False)],
    related: Annotated[
        list[str] | None, typer.Option("--related", help="A related party. Once for each.")
    ] = None,
    bad_credit: Annotated[
        str, typer.Option("--bad-credit", help="Day of an entry, such as 2025-03-01.")
    ] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Forget what was said before.")] = False,
    as_json: Json = False,
) -> None:
    """Show or set an institution's related parties and bad credit, which programmes ask for (operators).

    Example: hutong vouchers standing rain --related haidian-computing
    """
    with connect() as client:
        found = client.contracts.standing(institution)
        if related or bad_credit or clear:
            before = v.Standing() if clear else v.Standing(related=found.related, bad_credit=found.bad_credit)
            wanted = build(
                v.Standing,
                related=tuple(dict.fromkeys((*before.related, *(related or ())))),
                bad_credit=bad_credit or before.bad_credit,
            )
            found = client.contracts.set_standing(institution, wanted)
    if as_json:
        show_json(found)
    else:
        say(f"{institution}: related to {', '.join(found.related) or 'nobody'}")
        say(f"  bad credit: {found.bad_credit or 'never'}")


def issue(
    programme: Programmes,
    project: ProjectOption = "",
    contract: ContractOption = "",
    face: Face = "",
    side: Side = "demander",
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Issue a voucher under a programme's rules, bound to a contract if one is named (operators).

    Example: hutong vouchers issue beijing-2023 --project rain --contract rain-1
    """
    with connect() as client:
        wanted = _wanted(project_of(client, project), programme, contract, face, side)
        made = client.vouchers.issue(wanted, key=key)
    _say_voucher(made, as_json)


def check(
    programme: Programmes,
    project: ProjectOption = "",
    contract: ContractOption = "",
    face: Face = "",
    side: Side = "demander",
    as_json: Json = False,
) -> None:
    """Say which clauses stand against a voucher, and the most it could be. Exit code 1 if any does.

    Example: hutong vouchers check beijing-2023 --project rain --contract rain-1
    """
    with connect() as client:
        wanted = _wanted(project_of(client, project), programme, contract, face, side)
        found = client.vouchers.check(wanted)
    if as_json:
        show_json(found)
    elif found.allowed:
        say(f"nothing stands against it; at most {money(found.at_most)} ({found.bound or 'no clause binds'})")
    else:
        _show_refusals(found.refusals)
    if not found.allowed:
        raise typer.Exit(1)


def list_vouchers(project: ProjectOption = "", limit: Limit = 50, as_json: Json = False) -> None:
    """List vouchers: of a project; operators see all where none is named.

    Example: hutong vouchers list --project rain
    """
    with connect() as client:
        chosen = project if project or client.me().operator else project_of(client)
        found = list(client.vouchers.list(chosen or None, limit=limit))
    if as_json:
        show_json(found)
    else:
        rows = [
            (
                each.id,
                each.programme,
                each.project,
                each.state,
                money(each.face),
                money(each.redeemed),
                money(each.left),
            )
            for each in found
        ]
        columns = ("voucher", "programme", "project", "state", ">face", ">redeemed", ">left")
        rows_of(table(*columns), rows, "no vouchers")


def show(voucher: VoucherId, as_json: Json = False) -> None:
    """Show a voucher and the claims on it.

    Example: hutong vouchers show v-01k9
    """
    with connect() as client:
        found = client.vouchers.get(voucher)
        claims = list(client.vouchers.claims(voucher, limit=200))
    if as_json:
        show_json(
            {"voucher": found.model_dump(mode="json"), "claims": [c.model_dump(mode="json") for c in claims]}
        )
        return
    _say_voucher(found, as_json=False)
    rows = [(c.id, c.state, money(c.amount), local(c.start), local(c.end), c.bound) for c in claims]
    rows_of(table("claim", "state", ">amount", "from", "to", "kept down by"), rows, "no claims")


def bind(voucher: VoucherId, contract: ContractOption, as_json: Json = False) -> None:
    """Bind a voucher to a contract; a face above what the contract allows is lowered (operators).

    Example: hutong vouchers bind v-01k9 --contract rain-1
    """
    with connect() as client:
        bound = client.vouchers.bind(voucher, contract)
    _say_voucher(bound, as_json)


def claim(
    voucher: VoucherId,
    start: Start,
    end: End,
    evidence: Proofs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would pay.")] = False,
    key: Key = "",
    as_json: Json = False,
) -> None:
    """Claim what was settled in a time; each settled line is claimed once.

    Example: hutong vouchers claim v-01k9 --from 2026-03-01 --to 2026-04-01 -e invoice=0451
    """
    wanted = build(
        v.NewClaim,
        start=read_time(start, "--from"),
        end=read_time(end, "--to"),
        evidence=_pairs(evidence or []),
    )
    with connect() as client:
        if dry_run:
            _show_redeemable(client.vouchers.check_claim(voucher, wanted), as_json)
            return
        made = client.vouchers.claim(voucher, wanted, key=key)
    _say_claim(made, as_json)


def redeem(
    voucher: VoucherId,
    claim: ClaimId,
    reference: Annotated[
        str, typer.Option("--reference", help="A payment outside; else it goes to the project's balance.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Pay a claim once its evidence was looked at (operators). Again, it pays nothing twice.

    Example: hutong vouchers redeem v-01k9 c-01k9
    """
    with connect() as client:
        paid = client.vouchers.redeem(voucher, claim, reference)
    _say_claim(paid, as_json)


def refuse(voucher: VoucherId, claim: ClaimId, reason: Reason, as_json: Json = False) -> None:
    """Refuse a claim: its lines are free again (operators).

    Example: hutong vouchers refuse v-01k9 c-01k9 --reason 'the invoice is of another contract'
    """
    with connect() as client:
        refused = client.vouchers.refuse_claim(voucher, claim, reason)
    _say_claim(refused, as_json)


def claw_back(
    voucher: VoucherId,
    reason: Reason,
    claim: Annotated[str, typer.Option("--claim", help="What this claim was paid, not the voucher.")] = "",
    as_json: Json = False,
) -> None:
    """Take a voucher back, or what one claim was paid (operators).

    Example: hutong vouchers claw-back v-01k9 --claim c-01k9 --reason 'the audit found no such use'
    """
    with connect() as client:
        if claim:
            _say_claim(client.vouchers.claw_back_claim(voucher, claim, reason), as_json)
        else:
            _say_voucher(client.vouchers.claw_back(voucher, reason), as_json)


def expire(voucher: VoucherId, as_json: Json = False) -> None:
    """End a voucher whose time is over; what nobody claimed counts against no cap any more (operators).

    Example: hutong vouchers expire v-01k9
    """
    with connect() as client:
        ended = client.vouchers.expire(voucher)
    _say_voucher(ended, as_json)


def _wanted(project: str, programme: str, contract: str, face: str, side: str) -> v.NewVoucher:
    amount = Money(amount=format_micro(parse_micro(face))) if face else None
    made: v.NewVoucher = build(
        v.NewVoucher,
        programme=programme,
        project=project,
        claimant=side,
        face=amount,
        contract=contract or None,
    )
    return made


def _pairs(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        item, equals, reference = text.partition("=")
        if not item or not equals or not reference:
            problem = Problem("", f"--evidence {text}", "such as invoice=0451")
            raise Refused("bad_input", f"{text!r} is not ITEM=REFERENCE", (problem,))
        found[item] = reference
    return found


def _say_voucher(voucher: v.Voucher, as_json: bool) -> None:
    if as_json:
        show_json(voucher)
        return
    bound = f" on contract {voucher.contract}" if voucher.contract else ""
    say(f"voucher {voucher.id} of {voucher.programme} for {voucher.project}: {voucher.state}{bound}")
    say(
        f"  {voucher.rate_percent} % up to {money(voucher.face)}; "
        f"redeemed {money(voucher.redeemed)}, left {money(voucher.left)}"
    )


def _say_claim(claim: v.Claim, as_json: bool) -> None:
    if as_json:
        show_json(claim)
        return
    bound = f", kept down by {claim.bound}" if claim.bound else ""
    say(f"claim {claim.id}: {claim.state}, {money(claim.amount)} for {len(claim.lines)} lines{bound}")


def _show_redeemable(found: v.Redeemable, as_json: bool) -> None:
    if as_json:
        show_json(found)
    else:
        _show_refusals(found.refusals)
        if found.allowed:
            bound = f", kept down by {found.bound}" if found.bound else ""
            say(f"it would pay {money(found.amount)} for {len(found.lines)} lines{bound}")
        rows = [(each.spend, each.clause, each.message) for each in found.left_out[:20]]
        if rows:
            rows_of(table("left out", "clause", "why"), rows, "")
        if len(found.left_out) > len(rows):
            say(f"... and {len(found.left_out) - len(rows)} more")
    if not found.allowed:
        raise typer.Exit(1)


def _show_refusals(refusals: tuple[v.Refusal, ...]) -> None:
    for each in refusals:
        say(f"{each.clause}: {each.message}")
        say(f"  {each.path}: {each.hint}")


def _show_programme(programme: SubsidyProgramme) -> None:
    say(f"{programme.id}: {programme.name.en} ({programme.name.zh}), pays at {programme.pays}")
    rows: list[tuple[Any, ...]] = []
    for name, field in type(programme.clauses).model_fields.items():
        clause = getattr(programme.clauses, name)
        source = f"{clause.source.address} ({clause.source.dated})" if clause.source else ""
        rows.append((field.alias or name, clause.status, clause.about, source))
    rows_of(table("clause", "status", "what", "source"), rows, "no clauses")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Vouchers under the rules of subsidy programmes.", no_args_is_help=True)
    for command in (programmes, check, show, claim, contract, standing, issue, bind, redeem, refuse, expire):
        group.command()(command)
    group.command("list")(list_vouchers)
    group.command("claw-back")(claw_back)
    app.add_typer(group, name="vouchers", rich_help_panel="Money")
