"""A tokenizer made ready for conversations: turn marks as single tokens, one stop token, the template kept."""

import pytest
from chat_forms import GENERATION, QWEN, TOKENS, tokenizer
from transformers import AutoTokenizer

from penjing.base.errors import TextError
from penjing.base.progress import listen
from penjing.text.chat import CHATML, Chat, built_in
from penjing.text.chat_form import for_chat, with_tokens
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_training import train_tokenizer

TEXTS = ["the parcel came today", "快递 very late"] * 20
TALK = [{"role": "user", "content": "the parcel"}, {"role": "assistant", "content": "today"}]


@pytest.mark.parametrize("kind, size", [("bpe", 280), ("wordpiece", 80), ("unigram", 60)])
@pytest.mark.parametrize("way", ["special", "spare", "rows"])
def test_the_marks_of_chatml_become_single_tokens(kind, size, way, tmp_path):
    more = {"special": CHATML} if way == "special" else {"spare": 3} if way == "spare" else {}
    plain = train_tokenizer(TEXTS, kind=kind, size=size, **more)
    made = for_chat(plain, plain.size + 2)
    for mark in CHATML:
        number = made.inner.token_to_id(mark)
        assert made.encode(mark) == [number] and number in made.special and number < plain.size + 2
    assert made.size == plain.size + (2 if way == "rows" and kind != "bpe" else 0)
    assert (
        made.token(made.end) == "<|im_end|>"
        and made.pad == plain.pad
        and made.encode("parcel") == plain.encode("parcel")
    )
    made.save(tmp_path)
    again, theirs = Tokenizer.load(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert for_chat(again, again.size) is again and again.end == made.end == theirs.eos_token_id
    assert theirs.pad_token_id == plain.pad and theirs.apply_chat_template(TALK)["input_ids"] == Chat(again).encode(
        TALK
    )


def test_a_vocabulary_without_room_takes_the_plain_form():
    plain = train_tokenizer(TEXTS, kind="wordpiece", size=80)
    told = []
    with listen(told.append):
        made = for_chat(plain, plain.size)
    assert made.templates["default"] == built_in("plain") and made.end == plain.end and "plain" in told[0].text
    assert Chat(made).built_in == "plain" and Chat(made).stops == ("\nUser:",)
    with pytest.raises(TextError, match="P-CHAT-026"):
        for_chat(plain, plain.size, "chatml")
    assert for_chat(plain, plain.size + 2, "chatml").templates["default"] == built_in("chatml")
    assert for_chat(plain, plain.size + 2, "plain").size == plain.size


def test_spare_words_of_others_are_named_anew():
    vocabulary = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "parcel"]
    import tokenizers
    from tokenizers import models, pre_tokenizers

    inner = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    made = with_tokens(Tokenizer(inner), len(vocabulary), CHATML)
    assert made.encode("<|im_start|>the parcel<|im_end|>") == [1, 7, 8, 2]


def test_a_template_of_its_own_is_kept_and_its_end_becomes_the_stop_token():
    own = tokenizer(QWEN)
    assert own.token(own.end) == "<|endoftext|>"
    made = for_chat(own, own.size)
    assert made.templates == own.templates and made.token(made.end) == "<|im_end|>" and made.pad == own.pad
    assert Chat(made).ends == (made.end,)
    other = for_chat(own, own.size, GENERATION)
    assert other.templates == {"default": GENERATION} and for_chat(other, own.size, GENERATION) is other
    named = tokenizer('[{"name": "default", "template": "' + "{{ messages[0].content }}<|im_end|>" + '"}]')
    assert for_chat(named, named.size, "chatml").templates["default"] == built_in("chatml")


def test_templates_that_end_no_turn():
    for template in ("{% for m in messages %}### {{ m.role }}: {{ m.content }}\n{% endfor %}", built_in("chatml")):
        lacking = tokenizer(template, tokens=(), kind="wordpiece")
        with pytest.raises(TextError, match="P-CHAT-025"):
            for_chat(lacking, lacking.size)
    with pytest.raises(TextError, match="P-CHAT-010"):
        for_chat(tokenizer(), 1000, "no such form")
    begun = "{% for m in messages %}<|im_start|>{{ m.content }}[SEP]{% endfor %}"
    begun += "{% if add_generation_prompt %}<|im_start|>{% endif %}"
    told = []
    with listen(told.append):
        for_chat(tokenizer(begun, tokens=(), kind="wordpiece"), 1000)
    assert any("<|im_start|>" in one.text and one.kind == "warning" for one in told)
    assert len(TOKENS) > 2
