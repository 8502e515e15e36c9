"""`penjing init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    file: Annotated[Path, typer.Argument(help="Your data: a file, a folder or a pattern.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(metavar="folder", help="Folder of the new recipe.  [default: NAME]")
    ] = None,
) -> int:
    """Look at your own file and write a recipe for it that says why each value was chosen."""
    from penjing.base.errors import language
    from penjing.recipe.draft import draft

    path, found = draft(file, out)
    print("\n".join(f"  {line}" for line in found))
    print(f"配方已写入 {path}。运行：" if language() == "zh" else f"The recipe is in {path}. Run it with:")
    print(f"\n  penjing run {path}")
    return 0
