"""Messages about generation."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {
    "P-GENERATE-001": Message(
        "At least {given} new tokens are asked for, and at most {most}.",
        "要求至少生成 {given} 个词元，却最多只允许 {most} 个。",
        "Lower min_new_tokens or raise max_new_tokens.",
        "请减小 min_new_tokens 或增大 max_new_tokens。",
    ),
    "P-GENERATE-002": Message(
        "{given} answers of each prompt are asked for, and this way of decoding finds {most}.",
        "每个提示要求 {given} 个回答，而这种解码方式只能给出 {most} 个。",
        "Ask for fewer, take more beams, or a temperature above 0 without beams.",
        "请减少数量、增加 beams，或不用 beams 而把 temperature 设为大于 0。",
    ),
    "P-GENERATE-003": Message(
        "The forced words have more tokens than an answer may have ({most}).",
        "必须出现的词的词元数超过回答的上限（{most}）。",
        "Force fewer words, raise max_new_tokens, or shorten the prompt.",
        "请减少 forced_words、增大 max_new_tokens 或缩短提示。",
    ),
    "P-GENERATE-004": Message(
        "Prompt {row} is empty, and a decoder needs a token to begin from.",
        "第 {row} 个提示为空，而解码器至少需要一个起始词元。",
        "Give at least one token; the begin-of-text token is enough.",
        "请至少给出一个词元，文本起始符即可。",
    ),
    "P-GENERATE-005": Message(
        "There is no prompt to continue.",
        "没有可续写的提示。",
        "Give at least one prompt.",
        "请至少给出一个提示。",
    ),
    "P-GENERATE-006": Message(
        "The decoder of this encoder-decoder needs a token to begin with, and neither a target nor decoder_start is given.",
        "该编码器-解码器的解码器需要起始词元，但既没有给出 target，也没有给出 decoder_start。",
        "Set decoder_start to the config's decoder_start_token_id.",
        "请把 decoder_start 设为配置中的 decoder_start_token_id。",
    ),
    "P-GENERATE-007": Message(
        "Prompt {row} has {given} tokens, and the network's window has {most}.",
        "第 {row} 个提示有 {given} 个词元，而网络的窗口只有 {most} 个。",
        "Shorten the prompt, or use a model with a longer window.",
        "请缩短提示，或使用窗口更长的模型。",
    ),
    "P-GENERATE-008": Message(
        "The option names token {given}, and the vocabulary has {size} tokens.",
        "该选项提到词元 {given}，而词表只有 {size} 个词元。",
        "Use token ids of this model's tokenizer, from 0 to one below the size.",
        "请使用该模型分词器的词元编号，从 0 到词表大小减一。",
    ),
    "P-GENERATE-009": Message(
        "Every token is forbidden as the next one of row {row}.",
        "第 {row} 行的下一个词元全部被禁止。",
        "Loosen bad_words, no_repeat_ngram, min_new_tokens or the rules; together they leave nothing.",
        "请放宽 bad_words、no_repeat_ngram、min_new_tokens 或规则，它们合在一起没有留下任何词元。",
    ),
    "P-GENERATE-010": Message(
        "The network's scores for row {row} are not numbers (NaN or infinite).",
        "网络给第 {row} 行的分数不是数值（NaN 或无穷）。",
        "The weights are broken or overflow in this arithmetic: load them in float32, or go back to an earlier checkpoint.",
        "权重已损坏，或在该精度下溢出：请以 float32 载入，或使用更早的检查点。",
    ),
    "P-GENERATE-020": Message(
        "A row of {length} tokens cannot go back to {given}: its window layers have let go of what comes before.",
        "长度为 {length} 个词元的行无法退回到 {given} 个：窗口层已不再保存更早的内容。",
        "Cut at most {step} tokens at once, or read the text again.",
        "每次最多退回 {step} 个词元，或重新读入文本。",
    ),
    "P-GENERATE-030": Message(
        "The tokenizer's decoder {given!r} is not one of which Penjing knows what each token adds to the text.",
        "分词器的解码器为 {given!r}，Penjing 不知道它的每个词元会给文本增加什么。",
        "Use a byte-level, WordPiece or SentencePiece tokenizer.",
        "请使用字节级、WordPiece 或 SentencePiece 分词器。",
    ),
    "P-GENERATE-031": Message(
        "A grammar needs tokens of the vocabulary that end a row, and these are {given}.",
        "语法约束需要词表中的结束词元，而现在是 {given}。",
        "Give `stop`, or use a tokenizer with an end token.",
        "请给出 `stop`，或使用带结束词元的分词器。",
    ),
    "P-GENERATE-032": Message(
        "The {kind} cannot be read: {reason}",
        "无法读取该约束（{kind}）：{reason}",
        "Correct it at this place.",
        "请在该处改正。",
    ),
    "P-GENERATE-033": Message(
        "The JSON schema uses {given!r}, which no grammar can honour; ignoring it would let wrong answers through.",
        "该 JSON 模式使用了 {given!r}，语法约束无法保证它；忽略它会放过错误的答案。",
        "Remove it from the schema, and check it on the finished answer.",
        "请从模式中删除它，并在生成之后另行检查。",
    ),
    "P-GENERATE-034": Message(
        "Nothing can match this {kind} with the tokens of this vocabulary.",
        "该词表中的词元无法构成符合此约束（{kind}）的任何文本。",
        "Loosen what contradicts itself, or use a tokenizer that knows these characters.",
        "请放宽自相矛盾之处，或使用认识这些字符的分词器。",
    ),
    "P-GENERATE-035": Message(
        "The budget of {given} tokens is too small for this {kind}: the shortest text found takes {needed}.",
        "{given} 个词元的额度不足以完成此约束（{kind}）：找到的最短文本需要 {needed} 个。",
        "Allow more tokens, or loosen the lower bounds.",
        "请允许更多词元，或放宽下限。",
    ),
    "P-GENERATE-036": Message(
        "Row {row} cannot go on: no token of this vocabulary continues the {kind} behind {given!r}.",
        "第 {row} 行无法继续：在 {given!r} 之后，词表中没有词元符合此约束（{kind}）。",
        "Use a tokenizer with all bytes, or leave out texts that it cannot spell.",
        "请使用包含所有字节的分词器，或去掉它拼不出的文本。",
    ),
    "P-GENERATE-037": Message(
        "Row {row} took the token {token}, which the {kind} forbids behind {given!r}.",
        "第 {row} 行在 {given!r} 之后取了词元 {token}，而约束（{kind}）不允许它。",
        "Do not ask for words, stops or another rule that contradict the grammar.",
        "请不要要求与约束矛盾的词语、结束符或其他规则。",
    ),
    "P-GENERATE-038": Message(
        "The JSON schema has an unknown keyword {given!r}, which would limit nothing.",
        "该 JSON 模式含有未知关键字 {given!r}，它不会产生任何限制。",
        "Correct the keyword or remove it.",
        "请改正或删除该关键字。",
    ),
    "P-GENERATE-039": Message(
        "A guiding network has a vocabulary of {given}, and the one that writes has {size}.",
        "引导网络的词表大小为 {given}，而生成网络的词表大小为 {size}。",
        "Use networks of one tokenizer.",
        "请使用同一分词器的网络。",
    ),
    "P-GENERATE-040": Message(
        "This guidance cannot be: {reason}.",
        "该引导设置不成立：{reason}。",
        "Correct the setting, or leave the rule out.",
        "请改正设置，或不使用该规则。",
    ),
    "P-GENERATE-041": Message(
        "The classifier must answer {rows} rows with one log-probability each, at most 0; it answered {given}.",
        "分类器应为 {rows} 行各给出一个不大于 0 的对数概率，而它给出了 {given}。",
        "Return log-probabilities, in the order of the rows.",
        "请按行的顺序返回对数概率。",
    ),
    "P-GENERATE-042": Message(
        "This verse form cannot be: {reason}.",
        "该诗体不成立：{reason}。",
        "Give each line its length and its letter of rhyme.",
        "请为每一行给出长度和韵脚字母。",
    ),
    "P-GENERATE-043": Message(
        "Row {row} cannot go on: no token of this vocabulary fits the verse form in line {line_number}.",
        "第 {row} 行无法继续：词表中没有词元符合诗体第 {line_number} 行的要求。",
        "Use a tokenizer that can write the marks, line breaks and characters of the form.",
        "请使用能写出该诗体所需标点、换行和文字的分词器。",
    ),
}
