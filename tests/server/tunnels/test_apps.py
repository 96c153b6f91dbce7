"""Jobs' own pages through a real gateway, agent, relay and server: what visitors may rely on."""

from tests.server.tunnels.conftest import Reachable


def test_a_request_reaches_the_job_and_its_answer_comes_back(world: Reachable) -> None:
    job = world.serve_http()
    visitor = world.visit(job)
    answer = visitor.until_up("/tree?a=1&b=%20x")
    assert answer.text.startswith("GET /tree?a=1&b=%20x\n")
