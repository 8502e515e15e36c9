"""`penjing run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file, or a folder with recipe.yaml.", show_default=False)],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="step.option=value", help="Put a value over the recipe's; may stand often."),
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="step", help="Make only this step.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="folder", help="Folder of the run.  [default: runs/NAME]")] = None,
) -> int:
    """Run a recipe: check everything first, then make each step that is not made yet."""
    from penjing.cli.draw import drawing
    from penjing.cli.summary import show_plan, show_run
    from penjing.recipe.runner import plan, run_recipe

    if dry_run:
        show_plan(plan(recipe, out, sets=set_ or (), only=only))
        return 0
    with drawing():
        run = run_recipe(recipe, out, sets=set_ or (), only=only)
    show_run(run)
    return 0
