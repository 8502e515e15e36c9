"""Chat templates: a conversation as the text, and the token ids, that the model was trained on.

Chat(tokenizer).encode([{"role": "user", "content": "Hello"}], add_generation_prompt=True)

The text and the ids are those of transformers' `apply_chat_template`. A model without a template gets ChatML where its
tokenizer has ChatML's tokens, else a plain form (`User: …`); both are said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import Any

from jinja2 import Template
from jinja2.exceptions import SecurityError, TemplateSyntaxError

from penjing.base.errors import OptionError, PenjingError, TextError
from penjing.base.progress import tell
from penjing.text.budget import Budget, SpentError
from penjing.text.conversation import REASONING, check_messages, check_tools, with_reasoning
from penjing.text.sandbox import RefusedError, budget, marks, plain, sandbox
from penjing.text.tokenizer import Tokenizer, content

SOURCE = 1_000_000  # characters of a template
CHATML = ("<|im_start|>", "<|im_end|>")
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|eom_id|>", "<|end_of_turn|>", "<|return|>")
TAG = "CONTINUE_FINAL_MESSAGE_TAG "  # as transformers has it: its last space shows whether the template trims

Messages = Sequence[Mapping[str, Any]]


class Chat:
    """The chat form of a tokenizer. `template`: the name of one of its templates, or a Jinja text."""

    def __init__(self, tokenizer: Tokenizer, template: str | None = None):
        self.tokenizer, self.templates = tokenizer, dict(tokenizer.templates)
        self.built_in: str | None = None  # chatml or plain, where the template is ours
        self.chosen: str | None = None  # the template that all conversations use; None: by default and tool_use
        if template is not None and "{" not in template and template not in self.templates:
            raise TextError("P-CHAT-010", given=template, known=self.templates)
        if template is not None:
            self.chosen = self.templates.get(template, template)
        elif not self.templates:
            self.built_in = "chatml" if all(self.is_token(token) for token in CHATML) else "plain"
            self.chosen = built_in(self.built_in)
            form = "ChatML" if self.built_in == "chatml" else '"User: … Assistant: …"'
            tell("note", "chat", f"the model has no chat template; {form} is used", form=self.built_in)
        else:
            ours = (name for name in ("chatml", "plain") if self.templates.get("default") == built_in(name))
            self.built_in = next(ours, None)

    def is_token(self, text: str) -> bool:
        return self.tokenizer.inner.token_to_id(text) is not None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end an answer where no token does: the plain form's next turn."""
        return ("\nUser:",) if self.built_in == "plain" else ()

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a turn: those in use that stand in a template, and the tokenizer's end."""
        sources = [self.chosen] if self.chosen is not None else list(self.templates.values())
        named = [token for token in TURN_ENDS if any(token in source for source in sources)]
        found = [self.tokenizer.inner.token_to_id(token) for token in named]
        return tuple(one for one in dict.fromkeys([*found, self.tokenizer.end]) if one is not None)

    @cached_property
    def special(self) -> dict[str, str]:
        """The special tokens that templates may name."""
        config = self.tokenizer.full_config()
        return {name: content(config[name]) for name in SPECIAL if config.get(name)}

    def source(self, tools: Any = None) -> str:
        """The template for a conversation: the one for tools where there are tools and it exists."""
        if self.chosen is not None:
            return self.chosen
        name = "tool_use" if tools is not None and "tool_use" in self.templates else "default"
        if name not in self.templates:
            raise TextError("P-CHAT-010", given=name, known=self.templates)
        return self.templates[name]

    def render(
        self, messages: Messages, tools: Any = None, documents: Any = None, *, add_generation_prompt: bool = False,
        continue_final_message: bool | str = False, **more: Any,
    ) -> str:  # fmt: skip
        """The conversation as text.

        add_generation_prompt: with the beginning of the assistant's next turn. continue_final_message: without the end of
        the last one (or of the field named), so that it goes on. `more` are the template's own variables.
        """
        if continue_final_message and add_generation_prompt:
            raise OptionError("P-OPTION-006", option="continue_final_message", other="add_generation_prompt")
        tools, documents = check_tools(tools), check_tools(documents, "documents")
        values = {**self.special, **more, "tools": tools, "documents": documents}
        values["add_generation_prompt"] = add_generation_prompt
        chat, source = plain(check_messages(messages)), self.source(tools)
        chat = [with_reasoning(message) for message in chat]
        if not continue_final_message:
            return rendered(source, plain(values) | {"messages": chat})
        field = continue_final_message if isinstance(continue_final_message, str) else "content"
        last = tagged(chat, field, source)
        return open_ended(rendered(source, plain(values) | {"messages": chat}), last)

    def encode(self, messages: Messages, tools: Any = None, documents: Any = None, **options: Any) -> list[int]:
        """The conversation as token ids; options as in `render`."""
        return self.tokenizer.encode(self.render(messages, tools, documents, **options))


@cache
def built_in(name: str) -> str:
    """A template of Penjing's own."""
    return (resources.files("penjing.text") / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


def rendered(source: str, values: dict[str, Any], around: tuple[str, str] = ("", "")) -> str:
    """A template's text, written within a budget. `around`: marks put about what the assistant says."""
    spent, marked = budget.set(Budget(len(values["messages"]))), marks.set(around)
    try:
        text = "".join(compiled(source).generate(**values))
        return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")  # half surrogate pairs
    except PenjingError:
        raise
    except Exception as error:  # a stranger's program: anything may happen in it
        raise told(error) from error
    finally:
        budget.reset(spent)
        marks.reset(marked)


@lru_cache(64)
def compiled(source: str) -> Template:
    if len(source) > SOURCE:
        raise SpentError(f"a template of {len(source)} characters")
    return sandbox().from_string(source)


def told(error: Exception) -> PenjingError:
    """What went wrong in a template, in our words."""
    if isinstance(error, TemplateSyntaxError):
        return TextError("P-CHAT-005", reason=error.message, line=error.lineno)
    kinds = ((SecurityError, "P-CHAT-006"), (SpentError, "P-CHAT-007"), (MemoryError, "P-CHAT-007"),
             (RecursionError, "P-CHAT-007"), (RefusedError, "P-CHAT-008"))  # fmt: skip
    code = next((code for kind, code in kinds if isinstance(error, kind)), "P-CHAT-009")
    return TextError(code, reason=" ".join(str(error).split())[:300] or type(error).__name__)


def tagged(chat: list[dict[str, Any]], field: str, source: str) -> str:
    """Put a tag at the end of the last message's field; returns the text before it. Raises P-CHAT-011."""
    last = chat[-1]
    value = last.get(field)
    names = [name for name in REASONING if last.get(name) == value] if field in REASONING else [field]
    if not value or not any(name in source for name in names):
        raise TextError("P-CHAT-011", field=field)
    if isinstance(value, str):
        last.update(dict.fromkeys(names, value + TAG))
        return value
    part = next((part for part in reversed(value) if isinstance(part, dict) and "text" in part), None)
    if part is None:
        raise TextError("P-CHAT-011", field=field)
    text, part["text"] = part["text"], part["text"] + TAG
    return text


def open_ended(text: str, last: str) -> str:
    """The text up to the tag, without the space before it where the template trims."""
    place = text.rfind(TAG.strip())
    if place < 0 or last.strip() not in text:
        raise TextError("P-CHAT-011")
    return text[:place] if text[place:].startswith(TAG) else text[:place].rstrip()
