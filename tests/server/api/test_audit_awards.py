"""The audit of applications, calls and allocations: each step of each of the people in it is told."""

from tests.server.mortal import Town, ask_of, money
from tests.server.walking import Walk

from hutong.core.kernel.quantities import DAY_MS
from hutong.wire.base import rfc3339

WHY = {"reason": "so it is"}
APPLICATION = "/v1/applications/{application}"
ALLOCATION = "/v1/allocations/{allocation}"
APPLYING = (
    "POST /v1/programmes",
    "POST /v1/calls",
    "POST /v1/calls/{call}/settle",
    "POST /v1/projects/{project}/applications",
    f"PUT {APPLICATION}",
    f"POST {APPLICATION}/submit",
    f"POST {APPLICATION}/withdraw",
    f"POST {APPLICATION}/revision",
    f"PUT {APPLICATION}/reviewers/{{person}}",
    f"POST {APPLICATION}/conflict",
    f"PUT {APPLICATION}/review",
    f"PUT {APPLICATION}/decision",
    f"POST {APPLICATION}/appeal",
    f"POST {APPLICATION}/appeal/answer",
)
AWARDED = (
    f"POST {ALLOCATION}/changes",
    f"PUT {ALLOCATION}/changes/{{n}}",
    "POST /v1/allocations/review",
    f"POST {ALLOCATION}/cuts/{{n}}/appeal",
    f"PUT {ALLOCATION}/cuts/{{n}}",
)


def test_each_step_of_an_application_is_told(town: Town) -> None:
    walk = Walk(town.http, town.services.store, town.headers)
    science = {"id": "science", "name_zh": "科", "name_en": "S"}
    walk("chen", "POST /v1/programmes", science, "programme.create")
    now_ms = town.clock()
    spring = {
        "id": "spring", "programme": "science", "title": "Spring", "opens": rfc3339(now_ms - DAY_MS),
        "closes": "2090-01-01T00:00:00Z", "starts": rfc3339(now_ms),
        "ends": rfc3339(now_ms + 400 * DAY_MS), "budget": money(100),
    }  # fmt: skip
    walk("chen", "POST /v1/calls", spring, "call.create")
    drafts = []
    for who, project in (("li", "physics"), ("wang", "law"), ("li", "maths")):
        body = {"call": "spring", **ask_of(50)}
        route = "POST /v1/projects/{project}/applications"
        drafts.append(walk(who, route, body, "application.create", project=project)["id"])
    ours, theirs, other = drafts
    walk("li", f"PUT {APPLICATION}", ask_of(40), "application.change", application=ours)
    handed_in = "application.change application.change"  # by its owner, then admitted
    for who, draft in (("li", ours), ("wang", theirs), ("li", other)):
        walk(who, f"POST {APPLICATION}/submit", None, handed_in, application=draft)
    walk("li", f"POST {APPLICATION}/withdraw", WHY, "application.change", application=other)
    walk("chen", f"POST {APPLICATION}/revision", WHY, "application.change", application=ours)
    walk("li", f"POST {APPLICATION}/submit", None, "application.change application.change", application=ours)
    for person in ("zhao", "qian", "sun"):
        route = f"PUT {APPLICATION}/reviewers/{{person}}"
        walk("chen", route, None, "application.change", application=ours, person=person)
    walk("sun", f"POST {APPLICATION}/conflict", WHY, "application.change", application=ours)
    for person in ("zhao", "qian"):
        body = {"score": 80, "public": "sound"}
        walk(person, f"PUT {APPLICATION}/review", body, "application.change", application=ours)
    yes, no = {"outcome": "accepted", **WHY}, {"outcome": "rejected", **WHY}
    award = "call.change application.change award.create allocation.create application.change"
    walk("chen", f"PUT {APPLICATION}/decision", yes, award, application=ours)
    walk("chen", f"PUT {APPLICATION}/decision", no, "application.change", application=theirs)
    walk("wang", f"POST {APPLICATION}/appeal", WHY, "application.change", application=theirs)
    answer = {"granted": True, **WHY}
    walk("zhou", f"POST {APPLICATION}/appeal/answer", answer, "application.change", application=theirs)
    walk("chen", "POST /v1/calls/{call}/settle", None, "", call="spring")  # nothing was due
    walk.done(APPLYING)


def test_each_step_of_an_allocation_is_told(town: Town) -> None:
    walk = Walk(town.http, town.services.store, town.headers)
    town.call("spring", 100, accept_at_once=money(50))
    name = town.draft("li", "physics", "spring", 50).json()["id"]
    assert town.ask("li", "POST", f"/v1/applications/{name}/submit").json()["state"] == "awarded"
    changes, deciding = f"POST {ALLOCATION}/changes", f"PUT {ALLOCATION}/changes/{{n}}"
    suspend = "allocation.change allocation.change award.change"
    walk("chen", changes, {"kind": "suspend", **WHY}, suspend, allocation=name)
    walk("zhou", changes, {"kind": "resume", **WHY}, suspend, allocation=name)
    more = {"kind": "supplement", "amount": money(10), **WHY}
    walk("li", changes, more, "allocation.change", allocation=name)
    yes = {"granted": True, **WHY}
    given = "call.change allocation.change award.post allocation.change"
    walk("chen", deciding, yes, given, allocation=name, n=3)
    town.clock.ahead_ms += 101 * DAY_MS
    walk("chen", "POST /v1/allocations/review", None, "allocation.change")
    walk("li", f"POST {ALLOCATION}/cuts/{{n}}/appeal", WHY, "allocation.change", allocation=name, n=1)
    no = {"granted": False, **WHY}
    taken = "allocation.change reclaim.post allocation.change call.change"
    walk("zhou", f"PUT {ALLOCATION}/cuts/{{n}}", no, taken, allocation=name, n=1)
    walk.done(AWARDED)
