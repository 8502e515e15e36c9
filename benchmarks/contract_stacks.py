"""Every stack of two changes, every way of one under the usual way of another, on every family: the contract of
tests/contract/stacks.py in full, of which the tests ask a spread. Prints how many were looked at, refused as they
should be, and what failed.

python benchmarks/contract_stacks.py [--compiled] [--alone] [--families bert,llama]

`--compiled` also has torch.compile see each stack, which takes most of the time; `--alone` asks of no stacks, only of each
way of each change by itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("contract", "model"))]

from stacks import ALL, FAMILIES, PAIRS, lacking, look, reason, refused  # noqa: E402


def outcome(family: str, stack: tuple[tuple[str, str], ...], compiled: bool) -> str:
    """What came of one stack: `kept` the contract, `refused` as it should be, or what is wrong."""
    code = reason(family, *stack) if len(stack) > 1 else lacking(family, stack[0][0])
    try:
        if code:
            found = refused(family, *stack)
            return "refused" if found == code else f"refused with {found}, not {code}"
        with tempfile.TemporaryDirectory() as folder:
            look(family, *stack, folder=Path(folder), compiled=compiled)
        return "kept"
    except BaseException as error:  # pytest's own failures are no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def main() -> int:
    """One line for each that fails and for each family; returns how many fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--families", default=",".join(FAMILIES))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    total: Counter[str] = Counter()
    for family in asked.families.split(","):
        begun, counts = time.monotonic(), Counter[str]()
        for stack in [*((one,) for one in ALL), *([] if asked.alone else PAIRS)]:
            found = outcome(family, stack, asked.compiled)
            counts[found if found in ("kept", "refused") else "failed"] += 1
            if found not in ("kept", "refused"):
                print(f"  {family} {' + '.join('-'.join(one) for one in stack)}: {found}", flush=True)
        print(f"{family}: {dict(counts)}, {time.monotonic() - begun:.0f} s", flush=True)
        total += counts
    print(f"all: {dict(total)}")
    return total["failed"]


if __name__ == "__main__":
    sys.exit(bool(main()))
