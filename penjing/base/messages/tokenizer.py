"""Messages about tokenizers and token files. The place of an error names the file."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-TOKEN-001": Message(
        "There is no tokenizer here that Penjing knows.",
        "此处没有 Penjing 认识的分词器。",
        "Give a tokenizer.json, a vocab.json with its merges.txt, a vocab.txt, a SentencePiece .model, or their folder.",
        "请给出 tokenizer.json、vocab.json 与 merges.txt、vocab.txt、SentencePiece 的 .model，或它们所在的文件夹。",
    ),
    "P-TOKEN-002": Message(
        "The tokenizer is broken: {reason}.",
        "分词器已损坏：{reason}。",
        "Copy or download the file again, or train the tokenizer anew.",
        "请重新复制或下载该文件，或重新训练分词器。",
    ),
    "P-TOKEN-003": Message(
        "The tokenizer has no padding token, and no end, unknown or beginning token that could stand in for it.",
        "分词器没有填充标记，也没有可以代替它的结束、未知或起始标记。",
        'Name one in tokenizer_config.json, for example "pad_token": "<pad>", and add it to tokenizer.json.',
        '请在 tokenizer_config.json 中指定，例如 "pad_token": "<pad>"，并将其加入 tokenizer.json。',
    ),
    "P-TOKEN-004": Message(
        "The token ids {given} are outside the vocabulary of {size} tokens.",
        "标记编号 {given} 超出了词表范围（共 {size} 个标记）。",
        "Use the tokenizer that made these tokens.",
        "请使用产生这些标记的分词器。",
    ),
    "P-TOKEN-005": Message(
        "There is no text to train a tokenizer on.",
        "没有可用于训练分词器的文本。",
        "Give at least a few documents that are not empty.",
        "请提供至少几篇非空文档。",
    ),
    "P-TOKEN-006": Message(
        "A vocabulary of {given} tokens is too small: {needed} are taken by special tokens and single characters.",
        "词表大小 {given} 太小：特殊标记与单个字符已占用 {needed} 个。",
        "Set size to more than {needed}, or lower the options alphabet and spare.",
        "请将 size 设为大于 {needed}，或调低 alphabet 与 spare 选项。",
    ),
    "P-TOKEN-007": Message(
        "The token file cannot be used: {reason}.",
        "标记文件无法使用：{reason}。",
        "Remove this folder; it is made again from the text.",
        "请删除该文件夹；它会由文本重新生成。",
    ),
    "P-TOKEN-008": Message(
        "The option {option} has no effect on a {kind} tokenizer.",
        "选项 {option} 对 {kind} 分词器不起作用。",
        "Leave it out.",
        "请去掉该选项。",
    ),
    "P-TOKEN-009": Message(
        "The token file was written without word starts.",
        "标记文件写入时没有记录词的起点。",
        "Write it again with word_starts=True.",
        "请以 word_starts=True 重新写入。",
    ),
    "P-TOKEN-020": Message(
        "The added token {token!r} should have the number {given}, and in this vocabulary it gets {found}.",
        "附加标记 {token!r} 的编号应为 {given}，但在该词表中为 {found}。",
        "Use the tokenizer files of one and the same checkpoint; a tokenizer.json holds all in one.",
        "请使用同一检查点的分词器文件；tokenizer.json 已包含全部内容。",
    ),
    "P-TOKEN-021": Message(
        "Penjing does not know how {given!r} uses these tokenizer files.",
        "Penjing 不了解 {given!r} 如何使用这些分词器文件。",
        "Add its tokenizer.json: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) writes it.",
        "请补上 tokenizer.json：AutoTokenizer.from_pretrained(folder).save_pretrained(folder) 会写出它。",
    ),
}
