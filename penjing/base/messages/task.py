"""Messages about tasks and their models."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-TASK-001": Message(
        "The task {task!r} needs a mask token, and the tokenizer has none.",
        "任务 {task!r} 需要掩码标记，而该分词器没有。",
        "Train the tokenizer with Penjing, or add a [MASK] or <mask> token to it.",
        "请用 Penjing 训练分词器，或为其添加 [MASK] 或 <mask> 标记。",
    ),
    "P-TASK-002": Message(
        "The label {given!r} ({count} records) is none of the labels that the model knows.",
        "标签 {given!r}（{count} 条记录）不在模型已知的标签之中。",
        "Correct the label, or add records with it to the training data.",
        "请更正该标签，或在训练数据中加入带有该标签的记录。",
    ),
    "P-TASK-003": Message(
        "The training data has fewer than two labels: {given}.",
        "训练数据的标签少于两种：{given}。",
        "Classification needs records of at least two labels; check the label column.",
        "分类至少需要两种标签的记录；请检查标签列。",
    ),
    "P-TASK-004": Message(
        "The tokenizer has {tokens} tokens, and the network has rows for {rows}.",
        "分词器有 {tokens} 个标记，而网络只有 {rows} 行。",
        "Use the tokenizer that the network was trained with.",
        "请使用训练该网络时所用的分词器。",
    ),
    "P-TASK-005": Message(
        "penjing.json says the task is {task!r}, and config.json that the weights are for {given!r}.",
        "penjing.json 写明任务为 {task!r}，而 config.json 表明权重用于 {given!r}。",
        "Use the two files that were saved together.",
        "请使用一同保存的两个文件。",
    ),
    "P-TASK-006": Message(
        "A model of the task {task!r} does not answer this.",
        "任务 {task!r} 的模型无法回答这个。",
        "Fine-tune it for a task that does: penjing finetune --task ... (a language model writes: penjing generate).",
        "请先用 penjing finetune --task ... 将其微调到相应任务（语言模型请用 penjing generate 来生成）。",
    ),
    "P-TASK-009": Message(
        "{count} records lack this field; the first of them has {given}.",
        "{count} 条记录缺少该字段；其中第一条有 {given}。",
        "Name your column in the clean step's `columns`; records with a list `labels` need the option several.",
        "请在 clean 步骤的 columns 中指定列名；带有 labels 列表的记录需要选项 several。",
    ),
    "P-TASK-030": Message(
        "This {family} network has no task yet, so there is nothing that it could learn.",
        "该 {family} 网络尚无任务，没有可学习的内容。",
        "Give it one: penjing finetune with it as the model, or Model.with_task.",
        "请为其指定任务：以它为 model 运行 penjing finetune，或使用 Model.with_task。",
    ),
    "P-TASK-031": Message(
        "The model was trained on two texts each, and {count} of the records have one only.",
        "该模型以每条两段文本训练，而其中 {count} 条记录只有一段。",
        "Give the second text too: a field text_b, a pair (text, text_b), or --pair on the command line.",
        "请同时给出第二段文本：字段 text_b、二元组 (text, text_b)，或在命令行使用 --pair。",
    ),
    "P-TASK-032": Message(
        "The model was trained on single texts, and {count} of the records have a second one.",
        "该模型以单段文本训练，而其中 {count} 条记录带有第二段文本。",
        "Leave text_b out (--columns text=your_column), or use a model that was trained on pairs.",
        "请去掉 text_b（--columns text=列名），或使用以文本对训练的模型。",
    ),
    "P-TASK-033": Message(
        "With --pair two texts belong together, and {given!r} has no partner.",
        "使用 --pair 时文本须成对给出，而 {given!r} 没有对应的第二段。",
        "Give the texts two by two; on stdin one pair a line, with a tab between the two.",
        "请成对给出文本；从标准输入读取时每行一对，中间用制表符分隔。",
    ),
    "P-TASK-040": Message(
        "A source is longer than the {room} tokens of the window and was cut into parts; no part of the target is known to "
        "belong to each.",
        "源文本超过窗口的 {room} 个词元并被切分，而无法得知各部分对应的目标文本。",
        "Shorten the sources, or take long_text=head, which keeps their beginnings.",
        "请缩短源文本，或使用 long_text=head 只保留其开头。",
    ),
    "P-TASK-110": Message(
        "The task {task!r} asks for {fields}, and {given} texts were given.",
        "任务 {task!r} 需要 {fields}，却给出了 {given} 个文本。",
        "Give one text for each, or a record with these fields.",
        "请为每一项给出一个文本，或给出带有这些字段的记录。",
    ),
    "P-TASK-090": Message(
        "The task {task!r} reads a text with one stack of layers; this {family} network has an encoder and a decoder.",
        "任务 {task!r} 用一组层读取文本，而该 {family} 网络同时有编码器和解码器。",
        "Take an encoder (bert, modernbert), a decoder (llama) or an lstm.",
        "请使用编码器（bert、modernbert）、解码器（llama）或 lstm。",
    ),
    "P-TASK-091": Message(
        "A text to make a vector of is missing, or is no text.",
        "缺少要转换为向量的文本，或其值不是文本。",
        "Give each record `text`, and `text_b` or `positive` and `negative` where two or three texts are compared.",
        "请为每条记录提供 `text`；比较两段或三段文本时，另提供 `text_b`，或 `positive` 与 `negative`。",
    ),
    "P-TASK-092": Message(
        "This folder of sentence-transformers makes its vectors in a way that is not known here.",
        "该 sentence-transformers 文件夹生成向量的方式不受支持。",
        "Use a model made of Transformer, one Pooling, and Normalize, without a prompt of its own.",
        "请使用仅由 Transformer、一种 Pooling 和 Normalize 组成且不带默认提示的模型。",
    ),
    "P-TASK-093": Message(
        "The records hold one text each, and nothing says which texts belong together.",
        "每条记录只有一段文本，没有说明哪些文本彼此对应。",
        "Give pairs (text_b), scored pairs (text_b, score) or triplets; single texts are for penjing pretrain, task contrast.",
        "请提供文本对（text_b）、带分数的文本对（text_b、score）或三元组；单段文本请用于 penjing pretrain 的 contrast 任务。",
    ),
    "P-TASK-094": Message(
        "The records are of several forms: {forms}.",
        "记录的形式不一致：{forms}。",
        "Keep the records of one form: single texts, pairs, scored pairs or triplets.",
        "请只保留一种形式的记录：单段文本、文本对、带分数的文本对或三元组。",
    ),
    "P-TASK-095": Message(
        "One record has nothing to be compared with.",
        "只有一条记录，没有可比较的对象。",
        "Give at least two records.",
        "请至少提供两条记录。",
    ),
    "P-TASK-096": Message(
        "The objective {given!r} cannot use records of the form {form!r}.",
        "目标 {given!r} 不能用于 {form!r} 形式的记录。",
        "Use one of the known objectives, or give the fields that this one needs.",
        "请使用已知的目标之一，或提供该目标所需的字段。",
    ),
    "P-TASK-097": Message(
        "A score must be a finite number.",
        "分数必须是有限的数字。",
        "Correct it, or name another column: --columns score=your_column.",
        "请更正，或指定其他列：--columns score=列名。",
    ),
    "P-TASK-098": Message(
        "The task {task!r} tells two readings of a text apart by dropout, and this network has none.",
        "任务 {task!r} 依靠 dropout 区分同一文本的两次读取，而该网络没有 dropout。",
        "Set the option dropout above 0, for example 0.1.",
        "请将选项 dropout 设为大于 0 的值，例如 0.1。",
    ),
    "P-TASK-060": Message(
        "The field is not text.",
        "该字段不是文本。",
        "Question and context are texts; check which fields hold them.",
        "问题与上下文须为文本；请检查它们在哪些字段中。",
    ),
    "P-TASK-061": Message(
        "The answers are not in a form that is known.",
        "答案的形式无法识别。",
        'Write [{{"text": "…", "start": 0}}], an empty list for none, or SQuAD\'s {{"text": […], "answer_start": […]}}.',
        '请写成 [{{"text": "…", "start": 0}}]，没有答案时写空列表，或写成 SQuAD 的 {{"text": […], "answer_start": […]}}。',
    ),
    "P-TASK-062": Message(
        "The record has no answer, and this task says that every record has one.",
        "该记录没有答案，而该任务规定每条记录都有答案。",
        "Leave unanswerable out or set it to true in the training, or remove the record.",
        "训练时请去掉 unanswerable 或设为 true，或删除该记录。",
    ),
    "P-TASK-063": Message(
        "The record says that it has no answer, and gives one.",
        "该记录标明没有答案，却又给出了答案。",
        "Remove the answers (those of SQuAD 2.0 that only look right are plausible_answers), or is_impossible.",
        "请删除答案（SQuAD 2.0 中看似正确的答案属于 plausible_answers），或删除 is_impossible。",
    ),
}
