"""What surrounds every command: errors become messages and exit codes, Ctrl-C ends without a trace."""

import io
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from hutong.core.kernel.errors import HutongError

JSON = "hutong.json"


class Frame(TyperGroup):
    """The outermost group: 0 done, 1 a failed job or a platform in trouble, 2 bad input, 130 Ctrl-C."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what click's has
        """Run the command line. A character that the terminal's encoding lacks (GBK: ¥) becomes `?`."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="replace")
        return super().main(*args, **kwargs)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer keeps its context private
        """Note whether JSON is wanted, for the errors' sake."""
        ctx.meta[JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps its context private
        """Run the command."""
        try:
            return super().invoke(ctx)
        except HutongError as error:
            from hutong.clients.cli.terminal import exit_code, show_error

            show_error(error, as_json=ctx.meta.get(JSON, False))
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
