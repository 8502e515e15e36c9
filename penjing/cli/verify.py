"""`penjing verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="A run folder, or one step folder.", show_default=False)],
) -> int:
    """Check every hash of a run again and name the files that were changed, are missing or were added."""
    from penjing.base.errors import language
    from penjing.recipe.verify import verify

    verdict = verify(run)
    chinese = language() == "zh"
    for path in verdict.gone:
        print(f"输入已不在原处，未核对：{path}" if chinese else f"input no longer there, not checked: {path}")
    for problem in verdict.problems:
        print(problem.text(), file=sys.stderr)
    files, steps, wrong = sum(verdict.steps.values()), len(verdict.steps), len(verdict.problems)
    if chinese:
        print(f"{steps} 个步骤，{files} 个文件：" + ("全部与清单一致" if not wrong else f"发现 {wrong} 处改动"))
    else:
        told = f"{counted(steps, 'step')}, {counted(files, 'file')}: "
        print(told + ("all as their manifests say" if not wrong else counted(wrong, "change")))
    return 0 if verdict.sound else 1


def counted(number: int, what: str) -> str:
    """1 step, 2 steps."""
    return f"{number} {what}" + "s" * (number != 1)
