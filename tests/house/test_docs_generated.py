"""docs/errors.md and docs/options.md say what the code says; links in the documents lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACE = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
generate_docs = importlib.util.module_from_spec(PLACE)
PLACE.loader.exec_module(generate_docs)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("name", generate_docs.PAGES)
def test_generated_pages_are_up_to_date(name):
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == generate_docs.PAGES[name](), f"docs/{name} is old: run `make docs`"


def test_every_code_and_every_option_stands_there():
    from penjing.base.messages import messages
    from penjing.base.options import options_of
    from penjing.recipe.stages import BUILT_IN, STAGES

    errors, options = generate_docs.errors_page(), generate_docs.options_page()
    assert all(f"`{code}`" in errors for code in messages())
    assert all(f"| `{name}` |" in options for stage in STAGES for name in options_of(BUILT_IN[stage].function))


def test_links_lead_somewhere():
    lost = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert not lost, "\n".join(lost)


def test_every_extra_that_the_code_names_exists():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = set()
    for file in (ROOT / "penjing").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        named |= set(re.findall(r"needs_extra\(\s*\"\w+\", \"(\w+)\"", text))
        for table in re.findall(r"^EXTRAS = \{(.*?)\}", text, re.M | re.S):
            named |= set(re.findall(r": \"(\w+)\"", table))
    assert named and named <= set(extras), named - set(extras)
