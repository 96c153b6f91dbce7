"""The files that `hutong agent init` writes: an agent's configuration and a site's registration."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hutong.adapters.engines.inspection import Found, FoundPool, Setting
from hutong.clients.cli.site_commands import BLANK

_AGENT = """\
# An agent's configuration, proposed by `hutong agent init` from what it saw here.
# Look at each `review:`, then check everything with `hutong agent doctor --config {out}`.

site = {site}
url = {url}
# The site's token: `hutong site token {name}` prints it once. Only the agent's user may read the file.
token_file = {token_file}
# The agent's own folder, on a local disk: lock, cache of inputs, what it has settled with the platform.
root = {root}
# proxy = "http://proxy.example:3128"      # the centre's way out, if it has one
# authorities = "/etc/ssl/centre-ca.pem"   # certificates to trust instead of the usual ones
# cache_most_bytes = 214748364800          # how much of the inputs is kept

# [inputs.stores.lab]                      # an S3 store that jobs fetch from with their own secrets
# endpoint = "https://s3.lab.example"
# [inputs.shared]                          # folders that every job may read where it runs
# datasets = "/srv/datasets"
"""

_ENGINE = """
[engine]
kind = {kind}
"""

_MORE = """\
# path = ["/opt/ai/bin"]                   # PATH of the software that jobs find
# readable = ["/opt/ai"]                   # folders that a boxed job may read

# [engine.envs]                            # variables that a job finds unless it sets them itself
# NCCL_SOCKET_IFNAME = "ib0"
"""

_SITE = """\
# A centre's registration, proposed by `hutong agent init`. Each {blank} is the operator's to decide;
# `hutong site add` refuses the file while one is left.
id: {id}
name_zh: {blank}
name_en: {blank}
region: {blank}          # such as Zhangjiakou, Hebei
distance_km: {blank}     # from the users of the platform
engine: {engine}
pools:
{pools}
# Electricity by hour of day in UTC, 24 numbers each, hour 0 first: the share of renewable supply in parts per
# million, such as [250000, 250000, ...], and the grams of CO2 of a kWh, such as [570, 570, ...].
supply:
  green_ppm: {blank}
  grams_per_kwh: {blank}
  source: {blank}        # where the figures come from
  # What the centre pays for a kWh, which may be left out: placement can weigh it, and no user pays it.
  # price_per_kwh: {{amounts: ["0.620000", ...], currency: CNY}}   # 24 of them, yuan in quotes
"""

_POOL = """\
  - id: {id}
{remarks}    accelerator: {accelerator}
    nodes: {nodes}
    cards_per_node: {cards}
    price_per_card_hour: {{amount: {blank}, currency: CNY}}   # yuan in quotes, such as "8.500000"
    pue: {blank}         # in quotes, such as "1.25"
    memory_bytes_per_node: {memory}
    cpus_per_node: {cpus}
"""


def agent_text(found: Found, site: str, url: str, root: Path, token_file: Path, out: Path) -> str:
    """Return the agent's file; every string is a valid TOML basic string."""
    values = {"site": site, "url": url, "token_file": str(token_file), "root": str(root)}
    quoted = {name: _toml(value) for name, value in values.items()}
    head = _AGENT.format(**quoted, name=site, out=out)
    lines = [line for setting in found.settings for line in _lines(setting)]
    text = head + _ENGINE.format(kind=_toml(found.engine)) + "".join(f"{line}\n" for line in lines) + _MORE
    for pool in found.pools:
        if not pool.settings:
            continue
        text += f"\n[engine.pools.{pool.id}]\n"
        text += f"# {pool.nodes} nodes with {pool.cards_per_node} {pool.accelerator} each\n"
        text += "".join(f"# review: {doubt}\n" for doubt in pool.review)
        text += "".join(f"{line}\n" for setting in pool.settings for line in _lines(setting))
    return text


def _lines(setting: Setting) -> Iterator[str]:
    if setting.review:
        yield f"# review: {setting.review}"
    if setting.value != "":
        yield f"{setting.name} = {_toml(setting.value)}"


def _toml(value: str | int | float | tuple[str, ...] | Mapping[str, float]) -> str:
    """Return a value as TOML; the escapes of JSON are TOML's, but for DEL, which has to be one there."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def site_text(found: Found, site: str) -> str:
    """Return the registration; it is refused until its blanks are filled in."""
    pools = "".join(_pool(pool) for pool in found.pools)
    return _SITE.format(blank=BLANK, id=site, engine=found.engine, pools=pools.rstrip("\n"))


def _pool(pool: FoundPool) -> str:
    return _POOL.format(
        id=pool.id,
        remarks="".join(f"    # review: {doubt}\n" for doubt in pool.review),
        accelerator=json.dumps(pool.accelerator, ensure_ascii=False),
        nodes=pool.nodes,
        cards=pool.cards_per_node,
        blank=BLANK,
        memory=pool.memory_bytes_per_node,
        cpus=pool.cpus_per_node,
    )


def reviews(found: Found) -> list[str]:
    """Return all that the operator must look at, in the order of the file."""
    listed = [*found.review, *(f"{each.name}: {each.review}" for each in found.settings if each.review)]
    for pool in found.pools:
        listed += [f"pool {pool.id}: {doubt}" for doubt in pool.review]
        listed += [f"pool {pool.id}: {each.name}: {each.review}" for each in pool.settings if each.review]
    return listed
