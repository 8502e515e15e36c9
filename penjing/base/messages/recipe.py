"""Messages of the area `recipe`: recipe files, runs, step folders."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-RECIPE-001": Message(
        "This is not valid YAML: {reason}.",
        "这不是合法的 YAML：{reason}。",
        "Mend the line; indent with spaces, and put text that holds ': ' or '#' in quotes.",
        "请修正该行；用空格缩进，含有 ': ' 或 '#' 的文本请加引号。",
    ),
    "P-RECIPE-002": Message(
        "A recipe is a mapping with `stages:`, and this file has no steps under it.",
        "配方应是带有 `stages:` 的映射，而此文件在其下没有任何步骤。",
        "Write `stages:` and under it the steps, each with its options.",
        "请写上 `stages:`，并在其下列出各步骤及其选项。",
    ),
    "P-RECIPE-003": Message(
        "{given!r} cannot be a name: it becomes a folder's name.",
        "{given!r} 不能用作名称：它会成为文件夹名。",
        "Use letters, digits and underscores, and begin with a letter.",
        "请使用字母、数字和下划线，并以字母开头。",
    ),
    "P-RECIPE-004": Message(
        "The step {step!r} is not a mapping of options.",
        "步骤 {step!r} 不是由选项组成的映射。",
        "Write `option: value` lines under it, or nothing.",
        "请在其下逐行写 `选项: 值`，或留空。",
    ),
    "P-RECIPE-005": Message(
        "The key {given!r} stands twice in one mapping; YAML would silently drop the first.",
        "键 {given!r} 在同一映射中出现两次；YAML 会悄悄丢掉第一个。",
        "Remove one of the two.",
        "请删去其中一个。",
    ),
    "P-RECIPE-006": Message(
        "--set takes step.option=value, with the value in YAML.",
        "--set 的写法是 步骤.选项=值，值用 YAML 书写。",
        "For example: --set finetune.epochs=3",
        "例如：--set finetune.epochs=3",
    ),
    "P-RECIPE-007": Message(
        "The step {step!r} reads {given}, which does not come before it.",
        "步骤 {step!r} 要读取 {given}，但后者并不在它之前。",
        "Move the step that is read above the one that reads it.",
        "请把被读取的步骤移到读取它的步骤之前。",
    ),
    "P-RECIPE-008": Message(
        "There is no step {given!r} to read from.",
        "没有可供读取的步骤 {given!r}。",
        "Name an earlier step; for text that begins with a dollar sign write two: $$.",
        "请写一个在前面的步骤名；若文本本身以美元符号开头，请写两个：$$。",
    ),
    "P-RECIPE-009": Message(
        "Another run is at work in {path} (process {process}).",
        "另一个运行正在使用 {path}（进程 {process}）。",
        "Wait until it ends, or choose another folder with --out.",
        "请等它结束，或用 --out 选择另一个文件夹。",
    ),
    "P-RECIPE-010": Message(
        "The folder of step {step!r} holds no {given!r}.",
        "步骤 {step!r} 的文件夹中没有 {given!r}。",
        "Name something that the step makes.",
        "请写该步骤会生成的内容。",
    ),
    "P-RECIPE-011": Message(
        "The step {step!r} reads {given!r}, which is not made yet with these options.",
        "步骤 {step!r} 要读取 {given!r}，但按目前的选项它还没有生成。",
        "Run the recipe without --only, or with --only {given} first.",
        "请不带 --only 运行，或先用 --only {given} 运行。",
    ),
    "P-RECIPE-012": Message(
        "The step folder {path} is not as its manifest says: {files}.",
        "步骤文件夹 {path} 与其清单不符：{files}。",
        "Delete the folder to have it made anew, or put the files back; `penjing verify` lists them all.",
        "请删除该文件夹以重新生成，或恢复这些文件；`penjing verify` 会列出全部差异。",
    ),
    "P-RECIPE-013": Message(
        "{path} holds files that no stage made; they are not overwritten.",
        "{path} 中有并非由阶段生成的文件；不会覆盖它们。",
        "Choose an empty or a new folder.",
        "请选择空文件夹或新文件夹。",
    ),
    "P-RECIPE-014": Message(
        "{path} is neither a run nor a step folder: it has no run.json and no manifest.json.",
        "{path} 既不是运行文件夹也不是步骤文件夹：其中没有 run.json 和 manifest.json。",
        "Give the folder that `penjing run` has made, for example runs/quickstart.",
        "请给出 `penjing run` 生成的文件夹，例如 runs/quickstart。",
    ),
    "P-RECIPE-015": Message(
        "This file was changed after the step had made it: {path}.",
        "该文件在步骤生成之后被改动：{path}。",
        "Put it back, or delete the step's folder and run the recipe again.",
        "请恢复该文件，或删除步骤文件夹后重新运行配方。",
    ),
    "P-RECIPE-016": Message(
        "This is missing from the run: {path}.",
        "运行结果中缺少：{path}。",
        "Put it back, or delete the step's folder and run the recipe again.",
        "请恢复它，或删除步骤文件夹后重新运行配方。",
    ),
    "P-RECIPE-017": Message(
        "This file was added; no step has made it: {path}.",
        "该文件是后来添加的，并非由步骤生成：{path}。",
        "Move it out of the step's folder.",
        "请把它移出步骤文件夹。",
    ),
    "P-RECIPE-018": Message(
        "This manifest cannot be read, so nothing in its folder can be checked: {path}.",
        "无法读取该清单，因此其文件夹中的内容都无法核对：{path}。",
        "Delete the step's folder and run the recipe again.",
        "请删除步骤文件夹后重新运行配方。",
    ),
    "P-RECIPE-019": Message(
        "This input is not what the step has read; it was changed since: {path}.",
        "该输入已不是步骤当时读取的内容，此后被改动：{path}。",
        "Run the recipe again to follow the change, or put the old file back.",
        "请重新运行配方以采用新的内容，或恢复原来的文件。",
    ),
    "P-RECIPE-020": Message(
        "There is no trained model in {path}.",
        "{path} 中没有训练好的模型。",
        "Give a run with a finetune step, that step's folder, its model/ folder, or a baseline's folder.",
        "请给出含 finetune 步骤的运行文件夹、该步骤的文件夹、其 model/ 文件夹，或基线模型的文件夹。",
    ),
    "P-RECIPE-021": Message(
        "No column of this data holds text to learn from.",
        "此数据中没有可供学习的文本列。",
        "Give a file with a column of text; its name does not matter.",
        "请给出带有文本列的文件；列名不限。",
    ),
    "P-RECIPE-062": Message(
        "This step failed in part: what it made is here, but not all that it was asked for.",
        "此步骤部分失败：已做成的部分在这里，但并非要求的全部。",
        "Run it again, or leave out what failed; its manifest.json lists the codes under failed.",
        "请重新运行，或去掉失败的部分；manifest.json 的 failed 中列有错误码。",
    ),
}
