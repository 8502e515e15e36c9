"""Give every bad input of tests/cli/bad_inputs.py to the command line, in both languages, and print what came back.

python benchmarks/bad_inputs.py [--messages] [words of a case's name]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "cli")]

from bad_inputs import CASES, Case, Outcome, finished_run, perform  # noqa: E402


def complaint(one: Case, outcome: Outcome) -> str:
    """What is not as it must be, or an empty text."""
    said = []
    if outcome.exit != one.exit:
        said.append(f"exit code {outcome.exit}, not {one.exit}")
    if one.code and (not outcome.codes or any(not code.startswith(one.code) for code in outcome.codes[:1])):
        said.append(f"code {outcome.codes}, not {one.code}")
    if one.code and len(outcome.codes) != 1 and one.exit != 1:
        said.append(f"{len(outcome.codes)} messages")
    said += [f"{word!r} is not said" for word in one.says if word not in outcome.message]
    if "Traceback" in outcome.error:
        said.append("a traceback")
    if outcome.left and one.exit != 130:
        said.append("left: " + ", ".join(outcome.left[:5]))
    return "; ".join(said)


def main(words: list[str]) -> int:
    """One line for each bad input; returns how many are not handled."""
    wanted, failed = " ".join(word for word in words if not word.startswith("-")), 0
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "good").mkdir()
        finished = finished_run(Path(folder) / "good")
        for number, one in enumerate(one for one in CASES if wanted in one.name):
            told, codes = [], set()
            for language in ("en", "zh"):
                place = Path(folder) / f"{number}-{language}"
                place.mkdir()
                outcome = perform(one, place, language, finished)
                codes |= set(outcome.codes[:1])
                if said := complaint(one, outcome):
                    told.append(f"{language}: {said}")
                if "--messages" in words:
                    print(
                        f"---- {one.name} ({language}, exit {outcome.exit})\n{outcome.message.strip() or outcome.out}"
                    )
            failed += bool(told)
            print(
                f"{one.name:<45} {', '.join(sorted(codes)) or '-':<15} {one.exit:>3}  {' | '.join(told) or 'as it must be'}"
            )
    print(f"{number + 1} bad inputs, {failed} not as they must be")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
