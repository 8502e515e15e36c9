"""Reading the tokenizer files of others: tokenizer.json, vocab.json + merges.txt, BERT's vocab.txt, Marian's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from penjing.base.errors import TextError
from penjing.base.files import told
from penjing.base.progress import tell
from penjing.text.tokenizer_bpe import added, bpe_tokenizer
from penjing.text.tokenizer_marian import MODEL, MODELS, read_marian
from penjing.text.tokenizer_sentencepiece import NAMES as SENTENCEPIECE
from penjing.text.tokenizer_sentencepiece import read_sentencepiece
from penjing.text.tokenizer_templates import template_files

Found = tuple[tokenizers.Tokenizer, dict[str, Any]]


def read_tokenizer(source: Path) -> Found:
    """The tokenizer in a folder or file, and its tokenizer_config.json (empty if there is none)."""
    folder = source if source.is_dir() else source.parent
    config = read_config(folder)
    names = [source.name] if source.is_file() else ["tokenizer.json", "vocab.json", "vocab.txt", *SENTENCEPIECE]
    for path in (folder / name for name in names):
        if path.is_file():
            inner, config = read_file(path, config)
            added(inner, config, folder)
            return flagged(inner, config), config
    raise TextError("P-TOKEN-001", file=source)


def read_target(folder: Path, name: str) -> Found | None:
    """The tokenizer of what is to be written, where it is another: as we save it, or Marian's target.spm."""
    if (folder / name).is_file():
        return parsed(folder / name), read_config(folder)
    marian = not (folder / "tokenizer.json").exists() and all((folder / one).is_file() for one in MODELS)
    return read_marian(folder / MODELS[-1], read_table(folder / "vocab.json"), read_config(folder)) if marian else None


def read_file(path: Path, config: dict[str, Any]) -> Found:
    """One file, recognised by its name and content."""
    merges = path.with_name(path.name.replace("vocab.json", "merges.txt"))
    if path.name.endswith("vocab.json") and merges != path and merges.is_file():
        return read_bpe(path, merges, config)
    if path.name == "vocab.json" and path.with_name(MODEL).is_file():
        return read_marian(path.with_name(MODEL), read_table(path), config)
    if path.name.endswith("merges.txt"):
        vocabulary = path.with_name(path.name.replace("merges.txt", "vocab.json"))
        if vocabulary.is_file():
            return read_bpe(vocabulary, path, config)
    if path.suffix == ".model":
        return read_sentencepiece(path, config, model_type(path.parent))
    if path.suffix == ".txt" and not path.name.endswith("merges.txt"):
        return read_wordpiece(path, config), {**bert_names(), **config}
    if path.suffix == ".json" and "added_tokens" in (table := read_table(path)) and "model" in table:
        return parsed(path), config
    raise TextError("P-TOKEN-001", file=path)


def read_text(path: Path) -> str:
    with told(path):
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise TextError("P-TOKEN-002", file=path, reason=f"not UTF-8 ({error.reason})") from error


def read_table(path: Path) -> dict[str, Any]:
    """A JSON object; anything else is a broken tokenizer."""
    try:
        table = json.loads(read_text(path))
    except ValueError as error:
        raise TextError("P-TOKEN-002", file=path, reason=f"not JSON ({error})") from error
    if not isinstance(table, dict):
        raise TextError("P-TOKEN-002", file=path, reason="not a JSON object")
    return table


def read_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json over special_tokens_map.json, and chat templates in files, as far as they are there."""
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            config |= {key: value for key, value in read_table(folder / name).items() if value is not None}
    templates = template_files(folder)
    return config | ({"chat_template": templates} if templates else {})


def parsed(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises a bare Exception, or panics with a BaseException
        raise TextError("P-TOKEN-002", file=path, reason=error) from error


def read_bpe(vocabulary: Path, merges: Path, config: dict[str, Any]) -> Found:
    """A vocabulary and its merges, used as the checkpoint's kind does."""
    table = read_table(vocabulary)
    lines = [line for line in read_text(merges).split("\n") if line.strip() and not line.startswith("#version")]
    pairs = [tuple(line.rstrip("\r").split(" ")) for line in lines]
    wrong = next((line for line, pair in zip(lines, pairs, strict=True) if len(pair) != 2), None)
    if wrong is not None:
        raise TextError("P-TOKEN-002", file=merges, reason=f"{wrong[:80]!r} is no pair of tokens")
    known = table.keys()
    lost = next((pair for pair in pairs if not {*pair, "".join(pair)} <= known), None)
    if lost is not None:  # the library would panic
        raise TextError("P-TOKEN-002", file=merges, reason=f"the merge {' '.join(lost)!r} is not in {vocabulary.name}")
    if not all(isinstance(number, int) and number >= 0 for number in table.values()):
        raise TextError("P-TOKEN-002", file=vocabulary, reason="not all ids are whole numbers")
    return bpe_tokenizer(table, pairs, config, model_type(vocabulary.parent), vocabulary)


def model_type(folder: Path) -> str | None:
    """The type of the model whose tokenizer it is, where its config.json stands beside it."""
    path = folder / "config.json"
    return read_table(path).get("model_type") if path.is_file() else None


def bert_names() -> dict[str, Any]:
    return {**BERT, "model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}


BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def read_wordpiece(path: Path, config: dict[str, Any]) -> tokenizers.Tokenizer:
    """BERT's list of tokens, one a line. Lower case as the config says, else if no token has a capital letter."""
    words = read_text(path).split("\n")
    words = [word.rstrip("\r") for word in (words[:-1] if words[-1] == "" else words)]
    missing = [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in words]
    if missing:
        raise TextError("P-TOKEN-002", file=path, reason=f"not a BERT vocabulary, it lacks {' '.join(missing)}")
    ordinary = (word for word in words if word[:1] not in "[<" or word[-1:] not in "]>")
    lowercase = config.get("do_lower_case")
    if lowercase is None:
        lowercase = not any(word != word.lower() for word in ordinary)
        case = "folds" if lowercase else "keeps"
        tell(
            "note", "tokenizer", f"{path.name}: {case} case, as its tokens show (no do_lower_case in tokenizer_config)"
        )
    model = models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    inner = tokenizers.Tokenizer(model)
    dress_bert(inner, lowercase=lowercase, chinese=config.get("tokenize_chinese_chars", True),
               accents=config.get("strip_accents"))  # fmt: skip
    inner.add_special_tokens([token for token in BERT.values() if token in words])
    return inner


def dress_bert(
    inner: tokenizers.Tokenizer, *, lowercase: bool, chinese: bool = True, accents: bool | None = None
) -> None:
    """BERT's normaliser, splitting, decoder and [CLS] A [SEP] B [SEP]. The special tokens must be in the vocabulary."""
    inner.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lowercase
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece(prefix="##")
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, inner.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )


def flagged(inner: tokenizers.Tokenizer, config: dict[str, Any]) -> tokenizers.Tokenizer:
    """What tokenizer_config.json sets otherwise than tokenizer.json: how BERT folds case."""
    normal, kind = inner.normalizer, str(config.get("tokenizer_class") or "").lower()
    if isinstance(normal, normalizers.BertNormalizer) and not kind.startswith("pretrained"):
        flags = (("do_lower_case", "lowercase"), ("tokenize_chinese_chars", "handle_chinese_chars"),
                 ("strip_accents", "strip_accents"))  # fmt: skip
        for theirs, ours in flags:
            if theirs in config:
                setattr(normal, ours, config[theirs])
        inner.normalizer = normal
    return inner
