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
    "P-ADVISE-045": Message(
        "{file}: no reward can check these answers: {count} records lack prompt or answer, 5 of 100 have more than {given} "
        "characters (exact match is for {most} and fewer), and not all prompts hold an expression that comes to their answer.",
        "{file}：没有奖励能检验这些回答：{count} 条记录缺提示或回答；"
        "每 100 个中有 5 个超过 {given} 个字符（完全匹配只适合不超过 {most} 个字符的），且并非所有提示都含有算得出其回答的算式。",
        "Learn them as dialogue (leave --task out), or write a reward of your own: penjing reinforce --reward file.py:function "
        "(docs/reinforcement.md).",
        "请把它们作为对话来学（不写 --task），或自己写一个奖励："
        "penjing reinforce --reward file.py:function（见 docs/reinforcement.md）。",
    ),
    "P-ADVISE-046": Message(
        "{file}: all {count} judged answers are judged alike, so there is nothing to prefer.",
        "{file}：全部 {count} 个评过的回答评价都一样，没有可比较的。",
        "Add answers of the other kind (label: false, or true), or learn the good ones as dialogue with --task chat.",
        "请加入另一种回答（label 为 false 或 true），或用 --task chat 把好的回答作为对话来学。",
    ),
}
