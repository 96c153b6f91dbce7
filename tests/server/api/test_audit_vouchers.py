"""The audit of vouchers: from a contract to money that is clawed back, who did what is told."""

from dataclasses import replace
from typing import Any

from tests.server.api.test_vouchers import FIRM, STARTUP, claim_body, contract, spend
from tests.server.subsidies.town import TOWN
from tests.server.walking import Walk

VOUCHER = "/v1/vouchers/{voucher}"
CLAIM = f"{VOUCHER}/claims/{{claim}}"
VOUCHERS = (
    "POST /v1/contracts",
    "PUT /v1/institutions/{institution}/standing",
    "POST /v1/vouchers",
    f"POST {VOUCHER}/bind",
    f"POST {VOUCHER}/expire",
    f"POST {VOUCHER}/claw-back",
    f"POST {VOUCHER}/claims",
    f"POST {CLAIM}/redeem",
    f"POST {CLAIM}/refuse",
    f"POST {CLAIM}/claw-back",
)
LONG_MS = 300 * 86_400_000
WHY = {"reason": "an inspection"}


def test_each_step_of_a_voucher_is_told(platform: Any, li: dict[str, str]) -> None:
    platform.http.app.state.services = replace(platform.services, programmes=TOWN)
    platform.post("/v1/institutions", FIRM)
    platform.post("/v1/projects", {"id": "clouds", "institution": "rain", "title": "Clouds", "owner": "li"})
    walk = Walk(platform.http, platform.services.store, {"admin": platform.operator, "li": li})
    walk("admin", "POST /v1/contracts", contract(platform, "c1"), "contract.create")
    walk("admin", "POST /v1/contracts", contract(platform, "c2"), "contract.create")
    standing = "PUT /v1/institutions/{institution}/standing"
    walk("admin", standing, {"related": ["other"]}, "standing.create", institution="rain")
    loose = walk("admin", "POST /v1/vouchers", {**STARTUP, "contract": None}, "voucher.create")["id"]
    walk("admin", f"POST {VOUCHER}/bind", {"contract": "c1"}, "voucher.change", voucher=loose)
    walk("admin", f"POST {VOUCHER}/claw-back", WHY, "voucher.change", voucher=loose)
    bound = {**STARTUP, "contract": "c2"}
    voucher = walk("admin", "POST /v1/vouchers", bound, "voucher.create")["id"]
    claims, body = f"POST {VOUCHER}/claims", claim_body(platform)
    spend(platform, 1, 1000)
    claim = walk("li", claims, body, "voucher.change claim.create", voucher=voucher)["id"]
    walk("admin", f"POST {CLAIM}/refuse", WHY, "voucher.change claim.change", voucher=voucher, claim=claim)
    claim = walk("li", claims, body, "voucher.change claim.create", voucher=voucher)["id"]
    paid = "voucher.change claim.change award.create claim.change"
    walk("admin", f"POST {CLAIM}/redeem", {}, paid, voucher=voucher, claim=claim)
    back = "award.claim clawback.post voucher.change claim.change"
    walk("admin", f"POST {CLAIM}/claw-back", WHY, back, voucher=voucher, claim=claim)
    platform.clock.ahead_ms += LONG_MS
    walk("admin", f"POST {VOUCHER}/expire", None, "voucher.change", voucher=voucher)
    walk.done(VOUCHERS)
