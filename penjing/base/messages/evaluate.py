"""Messages of the area `evaluate`."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {
    "P-EVAL-001": Message(
        "There is no training text to fit a baseline on.",
        "没有可用于训练基线的文本。",
        "Give at least two records with different labels.",
        "请至少提供两条标签不同的记录。",
    ),
    "P-EVAL-002": Message(
        "All {records} training records have the same label {label!r}: there is nothing to learn.",
        "全部 {records} 条训练记录的标签都是 {label!r}：没有可学的内容。",
        "Check the column that holds the labels, or add records of other labels.",
        "请检查标签所在的列，或补充其他标签的记录。",
    ),
    "P-EVAL-003": Message(
        "A saved model is broken or of a kind this version does not read: {reason}.",
        "已保存的模型已损坏，或不是本版本能读取的类型：{reason}。",
        "Make it again by running its stage again.",
        "请重新运行相应的阶段来生成它。",
    ),
    "P-EVAL-004": Message(
        "A record to evaluate has no field {field!r}.",
        "待评估的记录没有字段 {field!r}。",
        "Map your columns with the option `columns` of the stage clean.",
        "请用 clean 阶段的 `columns` 选项映射各列。",
    ),
    "P-EVAL-005": Message(
        "The label {given!r} was not seen in training.",
        "标签 {given!r} 在训练数据中没有出现过。",
        "Correct the label, or add training records that have it.",
        "请更正该标签，或补充带有该标签的训练记录。",
    ),
    "P-EVAL-006": Message(
        "There is nothing to evaluate on: {folder} has neither a test nor a valid split with records.",
        "没有可评估的数据：{folder} 中既没有 test 也没有 valid 划分的记录。",
        "Give the stage clean a `test` file or a `test_share` above 0.",
        "请为 clean 阶段提供 `test` 文件，或把 `test_share` 设为大于 0。",
    ),
    "P-EVAL-007": Message(
        "The candidates do not know the same labels: {name} has {labels}.",
        "各候选模型的标签不一致：{name} 的标签是 {labels}。",
        "Compare models that were trained on the same data.",
        "请比较用同一数据训练的模型。",
    ),
    "P-EVAL-008": Message(
        "There is no trained model or no baseline in {folder}: {absent} is absent.",
        "{folder} 中没有训练好的模型或基线：缺少 {absent}。",
        "Give the output folder of the stage finetune.",
        "请给出 finetune 阶段的输出文件夹。",
    ),
    "P-EVAL-009": Message(
        "The probabilities of {name} are not usable: {reason}.",
        "{name} 的概率不可用：{reason}。",
        "Train the model again; look at its losses first.",
        "请重新训练模型，并先查看其损失曲线。",
    ),
    "P-EVAL-010": Message(
        "A file of a step folder cannot be shown in the report: {reason}.",
        "步骤文件夹中的一个文件无法写入报告：{reason}。",
        "Run the stage that wrote it again; `penjing verify` tells what else was changed.",
        "请重新运行写出该文件的阶段；`penjing verify` 会指出还有哪些改动。",
    ),
    "P-EVAL-030": Message(
        "The classical model {kind!r} compares texts, and this record has only one.",
        "传统模型 {kind!r} 用于比较文本，而该记录只有一段文本。",
        "Give it two texts: a field text_b, or --pair on the command line.",
        "请提供两段文本：字段 text_b，或在命令行使用 --pair。",
    ),
    "P-EVAL-040": Message(
        "{name} is a model for the task {task}, and {first} is one for {wanted}.",
        "{name} 是任务 {task} 的模型，而 {first} 是任务 {wanted} 的模型。",
        "Join models of one task.",
        "请合并同一任务的模型。",
    ),
    "P-EVAL-041": Message(
        "{name} does not answer with the same {what} as {first}: {own}; the other has {wanted}.",
        "{name} 与 {first} 的 {what} 不同：{own}；后者为 {wanted}。",
        "Join models that were trained on the same data with the same options of the task.",
        "请合并用同一数据、相同任务选项训练的模型。",
    ),
    "P-EVAL-042": Message(
        "{name} has another tokenizer than {first}, so their weights have no mean.",
        "{name} 与 {first} 的分词器不同，它们的权重无法平均。",
        "Average their answers instead (way: average), or fine-tune all from one model.",
        "请改为平均答案（way: average），或从同一模型微调全部成员。",
    ),
    "P-EVAL-043": Message(
        "{name} is another network than {first}, so their weights have no mean: {differences}.",
        "{name} 与 {first} 的网络不同，它们的权重无法平均：{differences}。",
        "Average their answers instead (way: average), or fine-tune all from one model.",
        "请改为平均答案（way: average），或从同一模型微调全部成员。",
    ),
    "P-EVAL-044": Message(
        "The answers of several models of the task {task} have no mean.",
        "任务 {task} 的多个模型的答案无法平均。",
        "Average their weights instead: way: soup, or way: greedy_soup.",
        "请改为平均权重：way: soup 或 way: greedy_soup。",
    ),
    "P-EVAL-045": Message(
        "An ensemble has two members at least, and {count} was given.",
        "集成至少需要两个成员，但只给出了 {count} 个。",
        "Give two or more finetune steps or model folders.",
        "请给出两个或更多 finetune 步骤或模型文件夹。",
    ),
    "P-EVAL-046": Message(
        "A greedy soup is chosen by valid records, and there are none.",
        "greedy_soup 依据验证集记录来选择成员，但没有这样的记录。",
        "Give `data` with a valid.jsonl, or take way: soup.",
        "请给出含 valid.jsonl 的 `data`，或使用 way: soup。",
    ),
    "P-EVAL-047": Message(
        "This is an ensemble of {count} models whose answers are averaged; it has no network of its own.",
        "这是由 {count} 个模型平均答案的集成，它没有自己的网络。",
        "Go on with one of the folders in its members/, or make one network of them with way: soup.",
        "请使用其 members/ 中的某个文件夹，或用 way: soup 把它们合成一个网络。",
    ),
    "P-EVAL-048": Message(
        "A member of this ensemble is missing: {absent}.",
        "该集成缺少一个成员：{absent}。",
        "Put its folder back, or make the ensemble again.",
        "请恢复该文件夹，或重新生成该集成。",
    ),
    "P-EVAL-049": Message(
        "This is no single network, so it cannot be a member: a classical model, or an ensemble itself.",
        "它不是单个网络（而是经典模型，或本身就是集成），不能作为成员。",
        "Give finetune steps or the folders of their models; of an ensemble the folders in its model/members/.",
        "请给出 finetune 步骤或其模型文件夹；若是集成，请给出其 model/members/ 中的文件夹。",
    ),
    "P-EVAL-050": Message(
        "This member was given twice.",
        "该成员给出了两次。",
        "Give each member once.",
        "每个成员只需给出一次。",
    ),
    "P-EVAL-051": Message(
        "The teacher is sure of the label {label!r} for all {records} texts: there is nothing to learn of it.",
        "教师对全部 {records} 条文本都肯定地给出标签 {label!r}：没有可学的内容。",
        "Train the teacher longer, or give texts of other labels too.",
        "请延长教师的训练，或同时提供其他标签的文本。",
    ),
    "P-EVAL-052": Message(
        "A linear student learns labels of texts, and the teacher is {given}.",
        "线性学生学习的是文本的标签，而教师是 {given}。",
        "Give a classifier: a finetune step of the task classify, or another that answers with labels.",
        "请给出分类器：任务为 classify 的 finetune 步骤，或其他以标签作答的模型。",
    ),
}
