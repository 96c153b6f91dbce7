"""Pure: what Slurm's word about a job means for the attempt that it was."""

from hutong.adapters.engines.attempt.supervise import Verdict
from hutong.adapters.engines.slurm.parse import Record

_MARGIN_S = 60
_VERDICTS = {
    "COMPLETED": ("FAILED", "infra", "Slurm calls it completed, but it left no end"),
    "FAILED": ("FAILED", "infra", "its supervisor failed"),
    "TIMEOUT": ("FAILED", "user", "walltime: it reached Slurm's time limit"),
    "DEADLINE": ("FAILED", "infra", "it reached a deadline that the site set"),
    "NODE_FAIL": ("FAILED", "infra", "a node of it failed"),
    "BOOT_FAIL": ("FAILED", "infra", "a node of it did not boot"),
    "LAUNCH_FAILED": ("FAILED", "infra", "Slurm could not launch it"),
    "PREEMPTED": ("PREEMPTED", "preempted", "Slurm preempted it"),
    "OUT_OF_MEMORY": ("FAILED", "oom", "it was killed for want of memory"),
    "CANCELLED": ("FAILED", "infra", "it was cancelled at the site, not by the platform"),
    "REVOKED": ("FAILED", "infra", "its federation gave it to another cluster"),
}


def of_ended(record: Record, limit_s: int, words: str = "") -> Verdict:
    """Return how a job that is over ended, by Slurm's word alone.

    `limit_s` is the limit we asked for, `words` the last that its script has said.
    """
    outcome, category, text = _VERDICTS.get(record.state, ("FAILED", "infra", "it ended"))
    if record.state == "TIMEOUT" and not _used_up(record, limit_s):
        category, text = "infra", "the site's own time limit ended it"
    if record.state == "FAILED" and words:
        text = f"{text}, {words}"
    details = [f"by user {record.by}" if record.by else ""]
    details += [record.reason if record.reason not in {"None", record.state.title()} else ""]
    details += [f"exit code {record.code}" if record.code not in {"", "0:0"} else ""]
    return Verdict(outcome, category, _sentence(text, details, record))


def of_requeued(record: Record) -> Verdict:
    """Return the end of an attempt whose job waits again after it has run: it is not started twice."""
    text = "the site put it back into the queue; an attempt runs only once"
    return Verdict("FAILED", "infra", _sentence(text, [record.reason], record))


def of_hopeless(record: Record) -> Verdict:
    """Return the end of an attempt that Slurm keeps and will not start."""
    return Verdict(
        "FAILED", "infra", _sentence("Slurm took it but does not start it", [record.reason], record)
    )


def of_taken_out(job_id: str) -> Verdict:
    """Return the end of an attempt that its array no longer has, though it never began."""
    text = f"it never began and its array has it no more, so it was cancelled at the site: job {job_id}"
    return Verdict("FAILED", "infra", text)


def of_forgotten(job_id: str) -> Verdict:
    """Return the end of an attempt of which Slurm has no record and whose supervisor is silent."""
    return Verdict("FAILED", "infra", f"Slurm knows nothing of it any more: job {job_id or 'without number'}")


def _used_up(record: Record, limit_s: int) -> bool:
    ran_s = record.ended_s - record.started_s
    return bool(limit_s) and (not record.started_s or ran_s >= limit_s - _MARGIN_S)


def _sentence(text: str, details: list[str], record: Record) -> str:
    extra = ", ".join(filter(None, details))
    return f"{text}{f' ({extra})' if extra else ''}: job {record.id}, {record.state}"
