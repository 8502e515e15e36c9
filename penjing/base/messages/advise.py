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
}
