"""Messages of the area `fewshot`: prompting with examples."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {
    "P-SHOT-001": Message(
        "The template has no place for `{absent}`: each example needs its text and, after it, its label, once.",
        "模板中没有 `{absent}` 的位置：每个示例都需要文本，并在其后恰有一处标签。",
        "Write it as 'Text: {{text}}\\nLabel: {{label}}' (with {{text_b}} where records have two texts), or in Jinja.",
        "请写成 'Text: {{text}}\\nLabel: {{label}}'（记录有两段文本时加上 {{text_b}}），或使用 Jinja。",
    ),
    "P-SHOT-002": Message(
        "The template of the prompt cannot be used: {reason}.",
        "提示模板无法使用：{reason}。",
        "Correct the Jinja text; it knows `text`, `text_b` and `label`, and an instruction knows `labels`.",
        "请更正 Jinja 文本；其中可用 `text`、`text_b` 和 `label`，说明文字中可用 `labels`。",
    ),
    "P-SHOT-003": Message(
        "The label {given!r} is written {word!r}, of which the tokenizer makes no token: it cannot be asked for.",
        "标签 {given!r} 写作 {word!r}，分词器对它不产生任何词元：无法询问该标签。",
        "Give it other words: the option `words`, label: words.",
        "请用选项 `words`（标签: 写法）给它换一种写法。",
    ),
    "P-SHOT-004": Message(
        "The labels {other!r} and {given!r} are the same tokens: the model cannot tell them apart.",
        "标签 {other!r} 与 {given!r} 的词元相同：模型无法区分它们。",
        "Give one of them other words: the option `words`, label: words.",
        "请用选项 `words`（标签: 写法）给其中之一换一种写法。",
    ),
    "P-SHOT-005": Message(
        "Records carry several labels each (a field `labels`), and a prompt is answered with one.",
        "记录各带多个标签（字段 `labels`），而提示只能回答一个标签。",
        "Give records with one `label` each, or finetune a classifier with `several: true`.",
        "请提供每条只有一个 `label` 的记录，或用 `several: true` 微调分类器。",
    ),
    "P-SHOT-006": Message(
        "`words` speaks of the label {given!r}, which no record has.",
        "`words` 中的标签 {given!r} 在记录中不存在。",
        "Correct the label's name.",
        "请更正标签名称。",
    ),
    "P-SHOT-007": Message(
        "{given} examples shall be shown, and there are {most} to choose from.",
        "要展示 {given} 个示例，但可选的只有 {most} 个。",
        "Ask for fewer shots, or give more examples.",
        "请减少示例数，或提供更多示例。",
    ),
    "P-SHOT-008": Message(
        "Even without examples and text a prompt has {given} tokens, and {most} fit the window beside a label.",
        "即使没有示例和文本，提示也有 {given} 个词元，而除标签外窗口只容得下 {most} 个。",
        "Shorten the template or the instruction, or use a model with a longer window.",
        "请缩短模板或说明文字，或使用窗口更长的模型。",
    ),
    "P-SHOT-009": Message(
        "Calibration by pmi asks what labels get after the template's words alone, and none stand right before the label.",
        "pmi 校准要看标签在仅有模板词语之后的概率，但标签前没有任何词语。",
        "Put words before the label, as in 'Label: {{label}}', or take the calibration `contextual`.",
        "请在标签前写上词语，如 'Label: {{label}}'，或改用 `contextual` 校准。",
    ),
    "P-SHOT-010": Message(
        "An encoder-decoder reads one text and has no conversation.",
        "编码器-解码器读入一段文本，没有对话形式。",
        "Take `form: text`.",
        "请使用 `form: text`。",
    ),
    "P-SHOT-011": Message(
        "The shots are no numbers of examples: {given!r}.",
        "示例数不是有效的数字：{given!r}。",
        "Write whole numbers from 0 on, as 0,1,2,4,8 or [0, 1, 2, 4, 8].",
        "请写从 0 开始的整数，如 0,1,2,4,8 或 [0, 1, 2, 4, 8]。",
    ),
    "P-SHOT-012": Message(
        "The {name} and the training records do not have the same labels: {given!r} is known to one of them alone.",
        "{name} 与训练记录的标签不一致：{given!r} 只出现在其中一方。",
        "Give a classifier that was trained on the same labels.",
        "请给出用相同标签训练的分类器。",
    ),
    "P-SHOT-013": Message(
        "The {name} is made for the task {task}, and here one for {needs} is needed.",
        "{name} 用于任务 {task}，而这里需要用于 {needs} 的模型。",
        "Give another folder.",
        "请给出另一个文件夹。",
    ),
    "P-SHOT-014": Message(
        "The harness asks for the likelihood of an empty continuation.",
        "测评框架询问的续写内容为空。",
        "Look at the task's doc_to_target and doc_to_choice.",
        "请检查该任务的 doc_to_target 与 doc_to_choice。",
    ),
    "P-SHOT-015": Message(
        "The harness asks for {given} tokens of an answer, and the model's window has {most}.",
        "测评框架要求回答有 {given} 个词元，而模型的窗口只有 {most} 个。",
        "Set a smaller max_gen_toks (--gen_kwargs max_gen_toks=64), or use a model with a longer window.",
        "请调小 max_gen_toks（--gen_kwargs max_gen_toks=64），或使用窗口更长的模型。",
    ),
    "P-SHOT-016": Message(
        "Some records have one text and others two, and a form of prompts is for one kind of them.",
        "有的记录只有一段文本，有的有两段，而一种提示形式只适用于其中一类。",
        "Give records of one kind, or a Jinja template that asks `{{% if text_b %}}`.",
        "请只给出一类记录，或使用带 `{{% if text_b %}}` 判断的 Jinja 模板。",
    ),
}
