"""The command line: every command of a user and of an operator; main adds those that run the platform."""

from importlib.metadata import version
from typing import Annotated

import typer

from hutong.clients.cli import (
    access_commands,
    account_commands,
    allocation_commands,
    apply_commands,
    approval_commands,
    audit_commands,
    booking_commands,
    budget_commands,
    call_commands,
    capacity_commands,
    centre_commands,
    commitment_commands,
    dispute_commands,
    energy_commands,
    findings_commands,
    identifier_commands,
    identity_commands,
    import_commands,
    job_commands,
    ledger_commands,
    model_commands,
    money_commands,
    price_commands,
    quota_commands,
    reach_commands,
    reconcile_commands,
    report_commands,
    run_commands,
    sign_in_commands,
    site_commands,
    statement_commands,
    subsidy_commands,
    token_commands,
    usage_commands,
    utilisation_commands,
    voucher_commands,
)
from hutong.clients.cli.frame import Frame
from hutong.clients.cli.terminal import say


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"hutong {version('hutong')}")
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    """Hutong: one public AI computing service over many computing centres.

    Begin with `hutong up` (a platform on this machine) and `hutong login`. Exit codes: 0 done, 1 a failed job
    or a platform in trouble, 2 something to change on your side, 130 Ctrl-C.
    """


def make_cli(
    check_job: run_commands.JobCheck = run_commands.accept,
    catalogue: import_commands.Catalogue = import_commands.no_cards,
) -> typer.Typer:
    """Return the command line.

    `check_job` refuses a job's document by what it means, `catalogue` lists the cards there are: rules and
    facts of the core, which clients do not know.
    """
    run_commands.check_here = check_job
    import_commands.catalogue = catalogue
    app = typer.Typer(
        name="hutong",
        cls=Frame,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for part in (
        run_commands,
        import_commands,
        job_commands,
        reach_commands,
        model_commands,
        money_commands,
        budget_commands,
        usage_commands,
        energy_commands,
        statement_commands,
        dispute_commands,
        ledger_commands,
        reconcile_commands,
        findings_commands,
        utilisation_commands,
        report_commands,
        site_commands,
        sign_in_commands,
        account_commands,
        access_commands,
        approval_commands,
        audit_commands,
        call_commands,
        apply_commands,
        allocation_commands,
        token_commands,
        identity_commands,
        booking_commands,
        quota_commands,
        price_commands,
        commitment_commands,
        voucher_commands,
        subsidy_commands,
        capacity_commands,
        centre_commands,
        identifier_commands,
    ):
        part.add_to(app)
    return app
