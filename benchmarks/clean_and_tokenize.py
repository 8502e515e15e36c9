"""Done when 5: peak memory and time of cleaning and tokenizing 100 MB and 1 GB of text.

    python benchmarks/clean_and_tokenize.py --data FOLDER [--megabytes 100 1000] [--folder SCRATCH] [--size 8000]

FOLDER holds .jsonl.zst files with a `text`; without it the script varies sentences of its own. Each size is made by
writing the texts again and again with a share of their words exchanged, so that copies are no near duplicates. Each
step runs in a fresh process; peak memory is the largest sum of resident sets over that process and its children.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SENTENCES = (
    "The parcel came two days late and the box was open on one side.",
    "I wrote to the help desk twice, and the second answer was friendly and clear.",
    "Our small garden has a pine in a tray that is older than my father.",
    "He tuned the radio until the voices of the harbour came through the rain.",
    "退款三天就到账了，客服的态度也很好，下次还会再来。",
    "院子里的那盆松树比我父亲的年纪还大，每年春天都要换土。",
    "雨下了一夜，早上起来河水涨到了桥边，孩子们都跑去看。",
)


def texts(folder: Path | None, generator: random.Random) -> Iterator[str]:
    """Texts without end: those of the folder, or sentences in random order."""
    while folder is None:
        yield "\n".join(" ".join(generator.choices(SENTENCES, k=6)) for _ in range(generator.randint(1, 6)))
    from penjing.base.records import read_records

    files = sorted(folder.rglob("*.jsonl.zst"))
    while True:
        for file in files:
            for record in read_records(file):
                if isinstance(record.get("text"), str):
                    yield record["text"]


def varied(text: str, generator: random.Random, words: list[str]) -> str:
    """A third of the words, or of the Chinese characters, exchanged for others seen before."""
    pieces = text.split(" ")
    if len(pieces) < len(text) / 15:
        pieces = list(text)
    for i in range(len(pieces)):
        if generator.random() < 0.35:
            words[generator.randrange(len(words))], pieces[i] = pieces[i], generator.choice(words)
    return ("" if len(pieces) == len(text) else " ").join(pieces)


def make(path: Path, megabytes: int, folder: Path | None) -> None:
    """Write so many megabytes of records."""
    generator, size = random.Random(megabytes), 0
    words: list[str] = ["word", "字"] * 5000
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for text in texts(folder, generator):
            line = json.dumps({"text": varied(text, generator, words)}, ensure_ascii=False) + "\n"
            size += file.write(line.encode("utf-8", "ignore"))
            if size >= megabytes * 1_000_000:
                break


def clean_step(source: Path, out: Path, size: int) -> None:
    from penjing.recipe.stages.clean import clean

    out.mkdir()
    clean(out, folder=source.parent, raw=source.name)


def token_step(source: Path, out: Path, size: int) -> None:
    from penjing.base.records import read_records
    from penjing.text.token_file import write_token_file
    from penjing.text.tokenizer_training import train_tokenizer

    tokenizer = train_tokenizer((r["text"] for r in read_records(source)), kind="wordpiece", size=size)
    write_token_file(out, (r["text"] for r in read_records(source)), tokenizer)


STEPS = {"clean": clean_step, "tokens": token_step}


def measured(step: str, source: Path, out: Path, size: int) -> tuple[float, float, float]:
    """(seconds, processor seconds, peak megabytes) of a step in a fresh process, its children included."""
    command = [
        sys.executable,
        __file__,
        "--step",
        step,
        "--source",
        str(source),
        "--out",
        str(out),
        "--size",
        str(size),
    ]
    start, peak, before = time.monotonic(), 0, processor_seconds()
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.05)
    seconds = time.monotonic() - start
    if process.returncode:
        raise SystemExit(process.returncode)
    peak = peak or resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return seconds, processor_seconds() - before, peak / 1e6


def processor_seconds() -> float:
    """What all processes ended so far have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def tree_memory(process: int) -> int:
    """Resident bytes of a process and all its children now, shared file pages included."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize() + sum(tree_memory(int(child)) for child in children)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--folder", type=Path, help="scratch folder; a temporary one when not given")
    parser.add_argument("--size", type=int, default=8000, help="entries of the tokenizer")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.step:
        STEPS[given.step](given.source, given.out, given.size)
        return
    folder = given.folder or Path(tempfile.mkdtemp())
    try:
        for megabytes in given.megabytes:
            source, out = folder / f"text{megabytes}.jsonl", folder / f"clean{megabytes}"
            make(source, megabytes, given.data)
            shutil.rmtree(out, ignore_errors=True)
            tokens = folder / f"tokens{megabytes}"
            for step, read, write in (("clean", source, out), ("tokens", out / "raw.jsonl", tokens)):
                if step not in given.steps:
                    continue
                seconds, used, peak = measured(step, read, write, given.size)
                speed = megabytes / seconds
                line = f"{step:6} {megabytes:5} MB {seconds:7.1f} s ({used:.1f} of processors) {speed:5.1f} MB/s"
                print(f"{line}, peak {peak:.0f} MB", flush=True)
            source.unlink()
            shutil.rmtree(out)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
