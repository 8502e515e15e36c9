"""A tokenizer that is made ready for conversations: with a chat template, its turn marks, and one token that stops.

The token that ends the assistant's turn becomes the tokenizer's end, and so the stop token of config, generation config and
tokenizer alike. A tokenizer without a template gets ChatML; where its marks are no tokens yet, spare tokens are named so
(`<|reserved_0|>`, `[unused0]`), or tokens are added while the network has rows for them; else the plain form is taken.
"""

from __future__ import annotations

import json
import re

import tokenizers

from penjing.base.errors import TextError
from penjing.base.progress import tell
from penjing.text.chat import CHATML, Chat, built_in
from penjing.text.loss_mask import masked
from penjing.text.tokenizer import Tokenizer

SPARE = re.compile(r"\[unused\d+\]|<\|reserved(_special_token)?_\d+\|>|<unused\d+>")
BUILT_IN = ("chatml", "plain")
PROBE = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def for_chat(tokenizer: Tokenizer, rows: int, template: str | None = None) -> Tokenizer:
    """The tokenizer with its chat form; itself, if it has one. rows: tokens that the network has room for.

    template: chatml, plain, the name of one of its own, or a Jinja text. Raises P-CHAT-010 and -025.
    """
    if template is None and tokenizer.templates:
        return ending(tokenizer)
    if template is None or template == "chatml":
        tokenizer = with_tokens(tokenizer, rows, CHATML)
    lacking = [mark for mark in CHATML if tokenizer.inner.token_to_id(mark) is None]
    if lacking and template == "chatml":
        raise TextError("P-CHAT-026", given=" ".join(lacking), rows=rows)
    if template is None:
        template = "plain" if lacking else "chatml"
        form = 'the plain form "User: … Assistant: …"' if lacking else "ChatML"
        tell("note", "chat", f"the tokenizer has no chat template; it gets {form}", form=template)
    named = tokenizer.templates
    if template not in named and template not in BUILT_IN and "{" not in template:
        raise TextError("P-CHAT-010", given=template, known=[*named, *BUILT_IN])
    source = named.get(template) or (built_in(template) if template in BUILT_IN else template)
    if named.get("default") == source:
        return ending(tokenizer)
    named = named | {"default": source}
    listed = [{"name": name, "template": text} for name, text in named.items()]
    return ending(replaced(tokenizer, chat_template=source if len(named) == 1 else listed))


def ending(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer whose end is the token that ends the assistant's turn; padding stays what it was."""
    chat = Chat(tokenizer)
    found = masked(chat, PROBE)
    last = [token for token, carries in zip(found.tokens, found.carries, strict=True) if carries][-1]
    if last not in tokenizer.special:
        raise TextError("P-CHAT-025", given=chat.render(PROBE)[-60:])
    marks = [mark for mark in CHATML if mark in chat.source() and not chat.is_token(mark)]
    if marks:
        tell("warning", "chat", f"{' '.join(marks)}: in the template, but no single tokens here", marks=marks)
    if last == tokenizer.end:
        return tokenizer
    tell("note", "chat", f"the stop token is {tokenizer.token(last)}", token=last)
    return replaced(tokenizer, eos_token=tokenizer.token(last), pad_token=tokenizer.token(tokenizer.pad))


def replaced(tokenizer: Tokenizer, **config: object) -> Tokenizer:
    """A tokenizer of its own, with other entries in its config."""
    return Tokenizer(tokenizers.Tokenizer.from_str(tokenizer.inner.to_str()), {**tokenizer.config, **config})


def with_tokens(tokenizer: Tokenizer, rows: int, wanted: tuple[str, ...]) -> Tokenizer:
    """The tokenizer with these as single special tokens: spare ones named anew, else new ones while there are rows."""
    lacking = [token for token in wanted if tokenizer.inner.token_to_id(token) is None]
    plain = [
        token for token in wanted if token not in lacking and tokenizer.inner.token_to_id(token) not in tokenizer.silent
    ]
    if not lacking and not plain:
        return tokenizer
    numbers = tokenizer.inner.get_vocab(with_added_tokens=True)
    spare = sorted((token for token in numbers if SPARE.fullmatch(token)), key=numbers.__getitem__)
    if len(spare) >= len(lacking):
        inner = renamed(tokenizer.inner, dict(zip(spare, lacking, strict=False)))
    elif tokenizer.size + len(lacking) <= rows:
        inner = tokenizers.Tokenizer.from_str(tokenizer.inner.to_str())
    else:
        return tokenizer
    inner.add_special_tokens([*lacking, *plain])
    return Tokenizer(inner, dict(tokenizer.config))


def renamed(inner: tokenizers.Tokenizer, names: dict[str, str]) -> tokenizers.Tokenizer:
    """A tokenizer in which some tokens are called otherwise."""
    whole = json.loads(inner.to_str())
    for token in whole["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    table = whole["model"]["vocab"]
    if isinstance(table, dict):
        whole["model"]["vocab"] = {names.get(token, token): number for token, number in table.items()}
    else:
        whole["model"]["vocab"] = [[names.get(token, token), score] for token, score in table]
    return tokenizers.Tokenizer.from_str(json.dumps(whole))
