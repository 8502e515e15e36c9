"""Messages about cleaning text."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-TEXT-001": Message(
        "A process that cleaned text has ended (status {status}).",
        "一个清洗文本的进程已结束（状态 {status}）。",
        "The machine may be out of memory; try again with workers=1.",
        "可能是内存不足；请用 workers=1 重试。",
    ),
    "P-TEXT-080": Message(
        "This line is not a word and {width} numbers.",
        "此行不是一个词加 {width} 个数字。",
        "Correct or remove the line, or copy the file again.",
        "请改正或删除该行，或重新复制该文件。",
    ),
    "P-TEXT-081": Message(
        "There are no word vectors in this file.",
        "该文件中没有词向量。",
        "Give a file of word2vec (text or binary), GloVe or fastText (.vec).",
        "请给出 word2vec（文本或二进制）、GloVe 或 fastText（.vec）的文件。",
    ),
    "P-TEXT-082": Message(
        "The file promises {words} words and ends after {given}.",
        "文件声明有 {words} 个词，但在第 {given} 个之后就结束了。",
        "Copy or download it again.",
        "请重新复制或下载该文件。",
    ),
    "P-TEXT-083": Message(
        "This is a model of fastText, not a file of vectors.",
        "这是 fastText 的模型，而不是词向量文件。",
        "Give the .vec file that fastText writes beside it.",
        "请给出 fastText 同时写出的 .vec 文件。",
    ),
    "P-TEXT-084": Message(
        "The vector of word {number}, {given!r}, holds something that is not a number.",
        "第 {number} 个词 {given!r} 的向量中含有非数值。",
        "Copy or download the file again; if it stays so, the file itself is broken.",
        "请重新复制或下载该文件；若仍如此，则文件本身已损坏。",
    ),
    "P-TEXT-090": Message(
        "This line is no word, a tab and its synonyms: {given!r}.",
        "该行不是“词、制表符、同义词”的形式：{given!r}。",
        "Write one word a line in UTF-8: the word, a tab, its synonyms with commas between.",
        "请以 UTF-8 每行写一个词：词、制表符、以逗号分隔的同义词。",
    ),
    "P-TEXT-091": Message(
        "None of the {words} words of the training texts has a synonym in this file, so it would change nothing.",
        "训练文本的 {words} 个词在该文件中都没有同义词，因此不会起任何作用。",
        "Use a file in the language of the texts; words stand in it as they stand in running text.",
        "请使用与文本语言相同的文件；其中的词须与正文中的词形一致。",
    ),
    "P-TEXT-092": Message(
        "None of the {words} words of the training texts has a neighbour of cosine {least} or more in this file.",
        "训练文本的 {words} 个词在该文件中都没有余弦不低于 {least} 的近邻。",
        "Use vectors in the language of the texts, or make `least` smaller.",
        "请使用与文本语言相同的词向量，或减小 `least`。",
    ),
    "P-TEXT-093": Message(
        "augment names nothing that it should do.",
        "augment 没有指明任何方式。",
        "Name one or more: delete, swap, synonyms, neighbours; or leave augment out.",
        "请至少指明一种：delete、swap、synonyms、neighbours；或去掉 augment。",
    ),
    "P-TEXT-094": Message(
        "The record's {field} would not fit a paraphrase of its text.",
        "该记录的 {field} 与其文本的改写不再对应。",
        "Paraphrases are for records with labels of the whole text: classify and regress.",
        "改写只适用于整段文本带标签的记录：classify 与 regress。",
    ),
    "P-TEXT-095": Message(
        "This is a model for the task {task!r}, and no translator.",
        "这是任务 {task!r} 的模型，不是翻译模型。",
        "Give a finetune step of task seq2seq, or a folder of a translation model.",
        "请给出任务 seq2seq 的 finetune 步骤，或翻译模型的文件夹。",
    ),
    "P-TEXT-096": Message(
        "The translator knows several languages and asks which one to write.",
        "该翻译模型支持多种语言，需要指明目标语言。",
        "Set languages, such as en-de: the texts' language first, then the other.",
        "请设置 languages，例如 en-de：先写文本的语言，再写另一种语言。",
    ),
    "P-TEXT-097": Message(
        "The {count} texts with {labels} labels make no pairs of both kinds: of one label, and of two.",
        "{count} 条文本、{labels} 种标签，无法同时组成同类与异类的文本对。",
        "There must be two labels or more, one of them with two different texts.",
        "至少需要两种标签，且其中一种有两条不同的文本。",
    ),
    "P-TEXT-098": Message(
        "The record is no single text with a label; it has {given}.",
        "该记录不是带标签的单段文本；它有 {given}。",
        "Pairs are made from records with text and label, or labels.",
        "文本对由含有 text 与 label（或 labels）的记录组成。",
    ),
    "P-TEXT-085": Message(
        "Not one word of this file is made of the tokenizer's pieces, so it would change nothing.",
        "该文件中没有任何词能由分词器的词元构成，因此不会起任何作用。",
        "Use vectors of the language of the texts.",
        "请使用与文本语言相同的词向量。",
    ),
    "P-TEXT-086": Message(
        "The tokenizer does not give the text {given!r} … back, so bits per byte would be those of another text.",
        "分词器无法还原文本 {given!r} …，所得的每字节比特数将属于另一段文本。",
        "Use a tokenizer that loses nothing, such as a byte-level one (kind: bpe).",
        "请使用无损的分词器，例如字节级分词器（kind: bpe）。",
    ),
}
