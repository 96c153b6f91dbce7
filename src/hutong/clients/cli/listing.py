"""The commands that the help lists, with the module of each: known before any of these modules is loaded.

A command that is added, renamed or reworded changes its line here too (`tests/clients/cli/test_late.py`).
"""

from collections.abc import Mapping
from typing import NamedTuple


class Part(NamedTuple):
    """Commands of one module under one panel: their names with the first paragraph of their help."""

    panel: str
    module: str
    lines: Mapping[str, str]


# fmt: off
PARTS = (
    Part("Jobs", "run_commands", {
        "run": "Submit a job file and follow the job; Ctrl-C leaves the job running.",
        "check": "Say what would happen to a job file: where it would go, why not "
            "elsewhere, what it could cost.",
    }),
    Part("Jobs", "job_commands", {
        "jobs": "List jobs, the newest first.",
        "job": "Show one job: its state, its attempts, what it cost. Of an array: how "
            "many are in which state.",
        "logs": 'Write the log of one rank. JSON: lines {"rank", "text", "next_offset"}.',
        "facts": "Show all that happened to a job, in order. JSON: one line a fact.",
        "cancel": "Ask for a job to be stopped, or all of an array.",
        "hold": "Keep a waiting job in the queue until it is released.",
        "release": "Let a held job go on.",
        "why": "Show why a job waits: what each pool says to it now, and the smallest change "
            "that would help.",
        "receipt": "Show why a job went where it went, and why not elsewhere; or where it "
            "would have gone otherwise.",
    }),
    Part("Jobs", "reach_commands", {
        "open": "Give the link to a running job's own pages: it works once, within a minute, for you.",
        "exec": "Run a command beside a rank of a running job: its node, box, folder and environment.",
        "forward": "Make a port of a running job a port of this machine, until Ctrl-C.",
    }),
    Part("Jobs", "price_commands", {
        "quote": "Say what a job file would cost in each pool, what would be held, and "
            "who would pay; nothing is stored.",
    }),
    Part("Jobs", "trace_commands", {
        "trace": "Write the jobs of a span of days as a trace that hutong simulate reads.",
    }),
    Part("Jobs", "import_commands", {
        "import": "Turn what you have into job files.",
    }),
    Part("Models", "model_commands", {
        "deploy": "Serve a model behind the gateway.",
        "deployments": "List what is being served.",
        "undeploy": "Stop serving.",
        "models": "Models: versions of files with where they come from.",
    }),
    Part("Money", "money_commands", {
        "bill": "Show a bill: every line, who paid, energy, and that the entries sum to zero.",
        "balance": "Show what a project has, holds and has spent.",
    }),
    Part("Money", "budget_commands", {
        "notices": "List what budgets have reached, the newest first.",
        "budget": "Budgets, in any unit.",
    }),
    Part("Money", "usage_commands", {
        "usage": "Show what was used and what it cost, by day and what you ask for.",
    }),
    Part("Money", "statement_commands", {
        "statement": "Show what a project had, was given, used and owes in a period; with "
            "--out as PDF or spreadsheet.",
        "focus": "Write the charges of a period as FOCUS 1.2, the FinOps cost and usage format, in CSV.",
        "cost-centres": "Show or set how a project's amounts are split over cost centres on invoices.",
        "invoices": "Invoices and credit notes of closed periods.",
    }),
    Part("Money", "dispute_commands", {
        "disputes": "Disputes of charges.",
    }),
    Part("Money", "call_commands", {
        "calls": "Programmes and calls for applications.",
    }),
    Part("Money", "apply_commands", {
        "apply": "Apply for computing: draft, hand in, appeal.",
        "review": "Review applications; operators assign and decide.",
    }),
    Part("Money", "allocation_commands", {
        "allocations": "Allocations: how they stand, changes, cuts.",
    }),
    Part("Money", "voucher_commands", {
        "vouchers": "Vouchers under the rules of subsidy programmes.",
    }),
    Part("Centres", "site_commands", {
        "sites": "List the centres: what they have, what is in use, how green their power is now.",
        "site": "Enter and run centres (operators).",
    }),
    Part("Centres", "booking_commands", {
        "booking": "Cards that are kept for somebody over some hours.",
    }),
    Part("You", "sign_in_commands", {
        "login": "Sign in; the password or token is asked for, or read from standard input.",
        "logout": "End the session and forget its token.",
        "second-factor": "Your authenticator.",
    }),
    Part("You", "people_commands", {
        "whoami": "Say who you are signed in as, and your projects.",
        "project": "Projects and who works in them.",
    }),
    Part("You", "account_commands", {
        "key": "Keys for the models' gateway.",
        "secret": "Secrets of a project, for its jobs.",
    }),
    Part("You", "token_commands", {
        "token": "Tokens that act as you or as a service account.",
        "service-account": "Programs that act in a project.",
    }),
    Part("You", "identity_commands", {
        "identity": "What signs in as you.",
    }),
    Part("Operators", "money_commands", {
        "award": "Give a project money for a time (operators).",
        "topup": "Book money that a project paid in advance (operators).",
        "voucher": "Give a project a voucher that pays a share of each charge (operators).",
    }),
    Part("Operators", "energy_commands", {
        "energy": "Energy by the hour: balances, progress, meters, contracts, certificates.",
    }),
    Part("Operators", "ledger_commands", {
        "ledger": "The ledger as a whole (operators).",
    }),
    Part("Operators", "reconcile_commands", {
        "reconcile": "Compare what schedulers say, what was recorded and what was booked. "
            "Exit code 1 if there is drift.",
    }),
    Part("Operators", "findings_commands", {
        "findings": "Contradictions between the witnesses of a site's day.",
    }),
    Part("Operators", "utilisation_commands", {
        "utilisation": "Show capacity, allocated, busy and effective card-hours of each pool, "
            "and what each of them means.",
        "sealed": "What sites seal: check their chains, register their keys.",
    }),
    Part("Operators", "report_commands", {
        "reports": "Reports: what there was, who was served, how long jobs waited.",
    }),
    Part("Operators", "institution_commands", {
        "institution": "Institutions: enter them, what they are (operators).",
    }),
    Part("Operators", "people_commands", {
        "person": "People who may sign in.",
    }),
    Part("Operators", "access_commands", {
        "access": "Who may do what, where and until when.",
    }),
    Part("Operators", "approval_commands", {
        "approvals": "Changes that take two people.",
    }),
    Part("Operators", "audit_commands", {
        "audit": "Who changed what; sealed against changes.",
    }),
    Part("Operators", "identity_commands", {
        "issuer": "Identity providers: OpenID Connect (operators).",
        "scim": "Directories that provision people (operators).",
    }),
    Part("Operators", "quota_commands", {
        "quota": "What institutions and projects are promised (operators).",
    }),
    Part("Operators", "price_commands", {
        "prices": "Price books, and what a project pays.",
    }),
    Part("Operators", "commitment_commands", {
        "commitments": "Card-hours that somebody promised to use.",
    }),
    Part("Operators", "subsidy_commands", {
        "subsidies": "Rules of subsidies tried on what was used (operators).",
    }),
    Part("Operators", "centre_commands", {
        "centres": "The registry of centres: phases, import, sums, plans against what came.",
    }),
    Part("Operators", "identifier_commands", {
        "identifiers": "Identifiers of centres, sites and pools.",
    }),
)
# fmt: on
