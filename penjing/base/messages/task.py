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
}
