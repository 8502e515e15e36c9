"""Messages about changes: adapters, what is trained, folding."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-CHANGE-001": Message(
        "Nothing would be trained: neither the changes nor a head leave anything to learn.",
        "没有可训练的参数：所选修改和任务头都没有留下要学的内容。",
        "Add a change that trains something, such as lora, or let freeze leave more (top, where).",
        "请加入会训练参数的修改，如 lora；或让 freeze 多留一些（top、where）。",
    ),
    "P-CHANGE-002": Message(
        "The pattern {given!r} matches nothing that this change could edit in this network.",
        "模式 {given!r} 没有匹配到该网络中此修改可作用的任何部分。",
        "Write a regular expression for the end of a path, such as attention.query; the nearest paths are listed.",
        "请写一个匹配路径末尾的正则表达式，如 attention.query；上面列出了最接近的路径。",
    ),
    "P-CHANGE-003": Message(
        "The pattern {given!r} is no regular expression: {reason}.",
        "模式 {given!r} 不是合法的正则表达式：{reason}。",
        "Mend the pattern; brackets must close, and `*` needs something before it.",
        "请修改该模式；括号须成对，`*` 前须有内容。",
    ),
    "P-CHANGE-004": Message(
        "{change} cannot be folded into the weights: at {count} places it is no linear edit of a product.",
        "{change} 无法并入权重：有 {count} 处不是对矩阵乘积的线性修改。",
        "Keep it as a change (save the model, or its adapter), or take it back first.",
        "请保留为修改（保存模型或其适配器），或先将其移除。",
    ),
    "P-CHANGE-005": Message(
        "{change} cannot be folded here: this matrix is the embedding and the vocabulary head at once, and both would change.",
        "{change} 无法在此并入：该矩阵同时是词嵌入和词表输出头，并入会同时改变两者。",
        "Leave embedding and output out of `where`, keep it as a change, or start from a model with tied: false.",
        "请在 `where` 中去掉 embedding 和 output，或保留为修改，或使用 tied: false 的模型。",
    ),
    "P-CHANGE-006": Message(
        "A change cannot be folded here before the ones below it are.",
        "此处须先并入其下层的修改，才能并入该修改。",
        "Fold all changes, the first one first.",
        "请按先后顺序并入全部修改。",
    ),
    "P-CHANGE-007": Message(
        "{count} tensors of the changes do not fit this network (- missing, + left over, ≠ another shape):\n    {names}",
        "修改中有 {count} 个张量与该网络不符（- 缺少，+ 多余，≠ 形状不同）：\n    {names}",
        "Use them with the base and the options they were made with.",
        "请与其制作时所用的基础模型和选项一起使用。",
    ),
    "P-CHANGE-008": Message(
        "`dora` is for products; {given!r} also names tables or the vocabulary head: {paths}.",
        "`dora` 只适用于矩阵乘积；{given!r} 还包含了嵌入表或词表输出头：{paths}。",
        "Let `where` name products alone, or leave `dora` out.",
        "请让 `where` 只包含矩阵乘积，或去掉 `dora`。",
    ),
    "P-CHANGE-009": Message(
        "Inputs and outputs of the same products would be scaled: {paths}.",
        "同一矩阵乘积的输入和输出都会被缩放：{paths}。",
        "Let `where` and `inputs` name different products.",
        "请让 `where` 与 `inputs` 指向不同的矩阵乘积。",
    ),
    "P-CHANGE-010": Message(
        "There are only {most} blocks, and {given} were to be trained.",
        "该网络只有 {most} 层，却要训练 {given} 层。",
        "Give a smaller `top`.",
        "请减小 `top`。",
    ),
    "P-CHANGE-011": Message(
        "PEFT's form holds one change, lora or ia3; here are: {changes}.",
        "PEFT 格式只能保存一个修改（lora 或 ia3）；此处有：{changes}。",
        "Save the model whole, or take the others back or fold them first.",
        "请保存整个模型，或先移除、并入其他修改。",
    ),
    "P-CHANGE-012": Message(
        "Networks of others have no such module, so PEFT's form has no name for it.",
        "其他库的网络中没有这个模块，PEFT 格式中没有对应的名称。",
        "Save the model whole; or leave this path out of `where`.",
        "请保存整个模型，或在 `where` 中去掉该路径。",
    ),
    "P-CHANGE-013": Message(
        "{change} edits modules that are also trained whole, which PEFT's form cannot hold: {paths}.",
        "{change} 修改的模块同时又被整体训练，PEFT 格式无法保存：{paths}。",
        "Let `whole` name other modules, or save the model whole.",
        "请让 `whole` 指向其他模块，或保存整个模型。",
    ),
    "P-CHANGE-014": Message(
        "An adapter of the kind {given!r} cannot be read.",
        "无法读取类型为 {given!r} 的适配器。",
        "Use an adapter of one of the known kinds.",
        "请使用已知类型的适配器。",
    ),
    "P-CHANGE-015": Message(
        "The adapter does something that is not known here, by its keys: {keys}.",
        "该适配器含有此处未知的设置：{keys}。",
        "Use an adapter without these keys, or fold it into its model with PEFT and read that.",
        "请使用不含这些设置的适配器，或用 PEFT 将其并入模型后再读取。",
    ),
    "P-CHANGE-016": Message(
        "The adapter is for another base: {count} tensors do not fit (- missing, + unknown here, ≠ another shape):\n    {names}",
        "该适配器属于另一个基础模型：有 {count} 个张量不符（- 缺少，+ 此处没有，≠ 形状不同）：\n    {names}",
        "Load it onto the model that its adapter_config.json names as base_model_name_or_path.",
        "请加载到其 adapter_config.json 中 base_model_name_or_path 所指的模型上。",
    ),
    "P-CHANGE-017": Message(
        "The adapter started from {given!r}, which changed its base in a way that cannot be repeated here.",
        "该适配器以 {given!r} 方式初始化，基础模型因此被改动，此处无法重现。",
        "Let PEFT convert it when saving: path_initial_model_for_weight_conversion.",
        "请在 PEFT 保存时使用 path_initial_model_for_weight_conversion 进行转换。",
    ),
    "P-CHANGE-019": Message(
        "The adapter does not say which base it is for.",
        "该适配器没有说明它属于哪个基础模型。",
        "Write base_model_name_or_path into adapter_config.json, or load it onto a model: load_adapter(model, folder).",
        "请在 adapter_config.json 中写明 base_model_name_or_path，或加载到模型上：load_adapter(model, folder)。",
    ),
    "P-CHANGE-018": Message(
        "There is no adapter here.",
        "此处没有适配器。",
        "Give a finetune step that was run with `model` and one `change`, or a folder with adapter_config.json.",
        "请给出以 `model` 和单个 `change` 运行的 finetune 步骤，或含 adapter_config.json 的文件夹。",
    ),
    "P-CHANGE-020": Message(
        "Folded, the model answers differently: scores differ by {distance} of the largest, answers to {answers} records.",
        "并入后模型的回答不同：得分相差最大值的 {distance}，有 {answers} 条记录的回答不同。",
        "No model was left. Keep the changes as they are, or fold in float32.",
        "没有留下模型。请保留原来的修改，或以 float32 并入。",
    ),
    "P-CHANGE-021": Message(
        "This model has no changes to fold.",
        "该模型没有可并入的修改。",
        "Give a model that was fine-tuned with `change`.",
        "请给出以 `change` 微调的模型。",
    ),
    "P-CHANGE-022": Message(
        "The adapters are for different bases: {bases}.",
        "这些适配器属于不同的基础模型：{bases}。",
        "Merge adapters that were trained on one base.",
        "请合并在同一基础模型上训练的适配器。",
    ),
    "P-CHANGE-023": Message(
        "This adapter's task ({given}) is not the first one's, or has other options or labels.",
        "该适配器的任务（{given}）与第一个不同，或选项、标签不同。",
        "Merge adapters of one task with the same labels.",
        "请合并任务和标签都相同的适配器。",
    ),
    "P-CHANGE-024": Message(
        "There are {count} adapters and {given} weights.",
        "有 {count} 个适配器，却给出了 {given} 个权重。",
        "Give one weight for each adapter, or none.",
        "请为每个适配器给出一个权重，或不给。",
    ),
}
