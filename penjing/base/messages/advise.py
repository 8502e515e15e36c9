"""Messages about advice."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-ADVISE-001": Message(
        "The records do not have the fields of the task {task}: {needs}.",
        "这些记录没有任务 {task} 所需的字段：{needs}。",
        "Rename your fields so, or leave --task out: then the fields decide.",
        "请按此改字段名，或不写 --task：由字段决定任务。",
    ),
    "P-ADVISE-002": Message(
        "None of the {count} records that were read holds a text ({what}).",
        "所读的 {count} 条记录都没有文本（{what}）。",
        "Give records whose text is not empty, or name another task with --task.",
        "请给出文本不为空的记录，或用 --task 指定其他任务。",
    ),
    "P-ADVISE-003": Message(
        "A recipe for the task {task} reads a folder with files called train.*; {given} is none.",
        "任务 {task} 的配方读取一个含有 train.* 文件的文件夹；{given} 不是这样的文件夹。",
        "Make a folder with train.jsonl (also valid.jsonl and test.jsonl), and ask for advice on that folder.",
        "请建一个含有 train.jsonl（以及 valid.jsonl 和 test.jsonl）的文件夹，再对该文件夹征求建议。",
    ),
    "P-ADVISE-004": Message(
        "{file}: preferences (answers that are better or worse) are learnt by a model that answers already, and of these no "
        "recipe is advised.",
        "{file}：偏好数据（较好与较差的回答）需由已会回答的模型来学习，对此不给出配方建议。",
        "Begin from recipes/preferences/recipe.yaml (docs/preference.md), or name another task with --task.",
        "请从 recipes/preferences/recipe.yaml 开始（见 docs/preference.md），或用 --task 指定其他任务。",
    ),
}
