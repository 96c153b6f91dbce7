"""`hutong moves`: which running tasks would have to move so that those that wait find room."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hutong.clients.cli.session import Json
from hutong.clients.cli.terminal import rows_of, say, show_json, table

# numba is loaded by the command that needs it.
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hutong.sim.moves import Place, Step


def add_to(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command(rich_help_panel="Platform")
    def moves(
        nodes: Annotated[Path, typer.Option("--nodes", help="A CSV file of nodes.")],
        tasks: Annotated[Path, typer.Option("--tasks", help="A CSV file of tasks, and where each runs.")],
        wanted: Annotated[
            list[str] | None, typer.Option("--for", help="Only for this waiting task. Give several.")
        ] = None,
        most: Annotated[
            int, typer.Option("--at-most", min=0, max=64, help="So many tasks may move for each.")
        ] = 3,
        beam: Annotated[
            int, typer.Option("--beam", min=1, max=4096, help="Ways followed at once: more finds more.")
        ] = 8,
        as_json: Json = False,
    ) -> None:
        """Say which running tasks to move so that those that wait have room; nothing is moved.

        Example: hutong moves --nodes nodes.csv --tasks tasks.csv --at-most 2
        """
        from hutong.core.placement.defragmentation import Effort
        from hutong.sim.moves import Fleet

        fleet = Fleet(nodes, tasks)
        waiting, used = fleet.waiting, fleet.used
        steps = fleet.make_room(wanted or waiting, Effort(most, beam))
        moved = sum(len(each.moves) for each in steps)
        placed = sum(each.place is not None for each in steps)
        if as_json:
            show_json(
                {
                    "nodes": fleet.nodes, "cards": fleet.cards, "used": used, "waiting": len(waiting),
                    "placed": placed, "moves": moved, "used_then": fleet.used,
                    "steps": [asdict(each) for each in steps],
                }
            )  # fmt: skip
            return
        say(f"{fleet.nodes:,} nodes, {fleet.cards:,} cards, {used:.1%} in use; waiting: {len(waiting):,}")
        rows_of(table("for", "task", "from", "to"), _rows(steps, most), "nothing waits")
        if steps:
            many = f"{moved:,} move{'' if moved == 1 else 's'}"
            say(f"{placed:,} of {len(steps):,} get room by {many}; {fleet.used:.1%} in use then")


def _rows(steps: "Sequence[Step]", most: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for step in steps:
        if step.place is None:
            rows.append((step.task, f"no way found within {most} moves", "", ""))
            continue
        rows += [(step.task, each.task, _words(each.was), _words(each.to)) for each in step.moves]
        rows.append((step.task, "starts", "", _words(step.place)))
    return rows


def _words(place: "Place") -> str:
    if not place.cards:
        return place.node
    return f"{place.node}, card{'s' if len(place.cards) > 1 else ''} {' '.join(map(str, place.cards))}"
