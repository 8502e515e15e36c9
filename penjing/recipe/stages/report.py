"""The stage `report`: everything known of a run in one HTML file, and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field


def report(
    out: Path,
    *,
    evaluation: Annotated[Path | None, Field(description="an evaluate step; left out: no scores")] = None,
    model: Annotated[Path | None, Field(description="a finetune, ensemble or distil_linear step")] = None,
    data: Annotated[Path | None, Field(description="a clean step")] = None,
    tokenizer: Annotated[Path | None, Field(description="a tokenizer step")] = None,
    pretrain: Annotated[Path | None, Field(description="a pretrain step")] = None,
    fewshot: Annotated[Path | None, Field(description="a fewshot step")] = None,
    title: Annotated[str, Field(min_length=1, description="the name of the model")] = "model",
    language: Annotated[
        Literal["auto", "en", "zh"], Field(description="language of the report; auto: PENJING_LANG or the locale")
    ] = "auto",
    text_languages: Annotated[
        list[str] | None, Field(description="languages of the texts, for the card; left out: as the clean step found")
    ] = None,
    licence: Annotated[str, Field(min_length=1, description="licence of the model, for the card")] = "other",
    datasets: Annotated[list[str] | None, Field(description="names of the data sets, for the card")] = None,
    recipe: Annotated[str | None, Field(description="the recipe's path, for the commands shown")] = None,
) -> dict[str, Any]:
    """Write report.html, report.json, report.txt and the model card README.md."""
    from penjing.base import errors
    from penjing.base.files import whole_file, write_json
    from penjing.report.build import build
    from penjing.report.card import card
    from penjing.report.steps import given_steps, languages_of
    from penjing.report.words import Words

    steps = given_steps(
        clean=data, tokenizer=tokenizer, pretrain=pretrain, finetune=model, evaluate=evaluation, fewshot=fewshot
    )
    lang = errors.language() if language == "auto" else language
    made = build(steps, title, Words(lang), recipe)
    certificate = steps["evaluate"].json("certificate.json") if evaluation else {}
    about, linear = (steps["finetune"].json(f"model/{name}.json") if model else {} for name in ("penjing", "linear"))
    readme = card(certificate, title, text_languages or languages_of(steps), licence, datasets or [], lang,
                  about.get("lineage"), linear.get("facts"))  # fmt: skip
    for name, text in {"report.html": made.to_html(), "report.txt": made.to_text(), "README.md": readme}.items():
        with whole_file(out / name) as file:
            file.write(text)
    write_json(out / "report.json", made.to_json())
    return {"report": "report.html", "card": "README.md", "verdict": made.verdicts[0].text, "language": lang}
