"""Messages about options: of a stage, a command, a task, a change."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-OPTION-001": Message(
        "{owner} has no option {given!r}.",
        "{owner} 没有名为 {given!r} 的选项。",
        "Use one of the known names, or remove it.",
        "请改用已知的名称，或删除该选项。",
    ),
    "P-OPTION-002": Message(
        "{owner}: option {option!r} has a value that it cannot take: {reason}.",
        "{owner}：选项 {option!r} 的值不可用：{reason}。",
        "Give a value of the kind {kind}.",
        "请给出类型为 {kind} 的值。",
    ),
    "P-OPTION-003": Message(
        "{owner} needs {option!r}, and it was not given.",
        "{owner} 需要 {option!r}，但没有给出。",
        "Add it.",
        "请补上该选项。",
    ),
    "P-OPTION-004": Message(
        "Unknown {kind}: {given!r}.",
        "未知的 {kind}：{given!r}。",
        "Use one of the known names.",
        "请使用已知的名称之一。",
    ),
    "P-OPTION-005": Message(
        "{option} has no effect without {other}.",
        "没有 {other} 时 {option} 不起作用。",
        "Add {other}, or remove {option}.",
        "请加上 {other}，或去掉 {option}。",
    ),
    "P-OPTION-006": Message(
        "{option} and {other} cannot be given together.",
        "{option} 与 {other} 不能同时给出。",
        "Keep one of the two.",
        "请只保留其中之一。",
    ),
    "P-OPTION-008": Message(
        "{owner} itself has no option {given!r}: it stands inside a choice.",
        "{owner} 本身没有选项 {given!r}：它写在某个选择之内。",
        "Write it there: {places}; as flags: {flags}.",
        "请写在那里：{places}；命令行写法：{flags}。",
    ),
    "P-OPTION-007": Message(
        "The option {option!r} is one name, or one name with its options: {given!r} is neither.",
        "选项 {option!r} 应为一个名称，或一个带选项的名称：{given!r} 两者都不是。",
        "Write for example `{option}: name` or `{option}: {{name: {{option: value}}}}`.",
        "例如写成 `{option}: name` 或 `{option}: {{name: {{option: value}}}}`。",
    ),
}
