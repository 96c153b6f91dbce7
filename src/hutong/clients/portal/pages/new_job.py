"""New job: a job file pasted, checked without storing anything, or submitted."""

from dataclasses import replace

from starlette.responses import Response

from hutong.clients.portal import charts
from hutong.clients.portal.visit import Visit
from hutong.clients.sdk.jobfile import FileProblem, JobFileError, LoadedJob, locate, parse_job
from hutong.core.kernel.errors import Denied, Refused
from hutong.wire.jobs import Check

_EXAMPLE = """name: hello
resources:
  accelerators: {A100: 1}
num_nodes: 1
run: |
  echo "hello from $(hostname)"
"""


async def blank(visit: Visit) -> Response:
    """Show the form with a small job to begin from."""
    await visit.signed_in()
    return await _show(visit, visit.query("project"), _EXAMPLE)


async def answer(visit: Visit) -> Response:
    """Check the job, or submit it and go to its page; what is wrong is told with its line."""
    form = await visit.form()
    await visit.signed_in()
    project, text = form.get("project", ""), form.get("text", "").replace("\r\n", "\n")
    loaded: LoadedJob | None = None
    try:
        loaded = parse_job(text.encode())
        spec = {"name": loaded.name, **loaded.document}
        if form.get("action") == "submit" and spec.get("array") is not None:
            array = await visit.api.jobs.submit_array(project, spec)
            return visit.go(f"/jobs?array={array.id}")
        if form.get("action") == "submit":
            job = await visit.api.jobs.submit(project, spec)
            return visit.go(f"/jobs/{job.id}")
        return await _show(visit, project, text, check=await visit.api.jobs.check(project, spec))
    except Denied:
        raise
    except JobFileError as error:
        return await _show(visit, project, text, error=error, problems=error.file_problems)
    except Refused as error:
        told = [replace(each, path=each.path.removeprefix("/spec")) for each in error.problems]
        found = locate(told, loaded.positions) if loaded else ()
        return await _show(visit, project, text, error=error, problems=found)


async def _show(
    visit: Visit,
    project: str,
    text: str,
    *,
    check: Check | None = None,
    error: Refused | None = None,
    problems: tuple[FileProblem, ...] = (),
) -> Response:
    names = await visit.site_names() if check else {}
    return visit.render(
        "new_job.html",
        {
            "project": project,
            "text": text,
            "check": check,
            "error": str(error) if error else "",
            "problems": problems,
            "names": names,
            "bar": charts.score_bar,
            "points": charts.points,
        },
        error.status if error else 200,
    )
