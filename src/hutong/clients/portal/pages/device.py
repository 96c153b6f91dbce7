"""Consent to a device that wants to sign in: type its code, look at what asks, decide."""

from starlette.responses import Response

from hutong.clients.portal.visit import Visit
from hutong.core.kernel.errors import NotFound, Refused


async def ask(visit: Visit) -> Response:
    """Ask for the code, or show what waits under it. Nothing is decided by following a link."""
    await visit.signed_in()
    code = visit.query("code")
    if not code:
        return _render(visit)
    try:
        waiting = await visit.api.devices.get(code)
    except (NotFound, Refused) as error:
        if isinstance(error, NotFound) or error.code == "invalid":
            return _render(visit, wrong=visit.words("device.unknown"), status=404)
        raise
    return _render(visit, waiting=waiting)


async def decide(visit: Visit) -> Response:
    """Consent or refuse, as the button says."""
    form = await visit.form()
    await visit.signed_in()
    code, consent = form.get("code", ""), form.get("decision") == "approve"
    try:
        await (visit.api.devices.approve(code) if consent else visit.api.devices.deny(code))
    except NotFound:
        return _render(visit, wrong=visit.words("device.unknown"), status=404)
    return _render(visit, done=visit.words("device.approved") if consent else visit.words("device.denied"))


def _render(
    visit: Visit, *, waiting: object = None, wrong: str = "", done: str = "", status: int = 200
) -> Response:
    return visit.render("device.html", {"waiting": waiting, "wrong": wrong, "done": done}, status)
