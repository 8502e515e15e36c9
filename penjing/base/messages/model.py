"""Messages of the area `model`: configs, families, weights, checkpoints."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {
    "P-MODEL-001": Message(
        "this network cannot be built: {field} {reason}.",
        "无法构建该网络：{field} 不合要求（{reason}）。",
        "Change {field}.",
        "请修改 {field}。",
    ),
    "P-MODEL-002": Message(
        "A network's config has no field {given!r}.",
        "网络配置中没有名为 {given!r} 的字段。",
        "Use one of the known names, or remove it.",
        "请改用已知的名称，或删除它。",
    ),
    "P-MODEL-003": Message(
        "the config lacks a field that it needs.",
        "配置缺少必需的字段。",
        "Add {field} to the config.",
        "请在配置中补上 {field}。",
    ),
    "P-MODEL-004": Message(
        "A token id is outside the vocabulary of {size}; records: {records}.",
        "有词元编号超出大小为 {size} 的词表；记录：{records}。",
        "Use the tokenizer that the network was trained with.",
        "请使用训练该网络时的分词器。",
    ),
    "P-MODEL-005": Message(
        "A text of {given} tokens is longer than the {most} positions of the network.",
        "文本有 {given} 个词元，超过网络的 {most} 个位置。",
        "Cut it, split it into windows, or use a network with more positions.",
        "请截断文本、分成窗口，或使用位置更多的网络。",
    ),
    "P-MODEL-006": Message(
        "The cache holds {capacity} tokens, and {given} were to be kept.",
        "缓存可容纳 {capacity} 个词元，但需要保存 {given} 个。",
        "Start with a larger capacity, or generate fewer tokens.",
        "请在开始时给出更大的容量，或少生成一些词元。",
    ),
    "P-MODEL-007": Message(
        "An encoder-decoder needs the decoder's tokens, and the batch has no target.",
        "编码器-解码器需要解码器的词元，但批次没有 target。",
        "Give the batch a target (for a classifier: batch.shifted).",
        "请给批次设置 target（分类器可用 batch.shifted）。",
    ),
    "P-MODEL-008": Message(
        "This network was built without a vocabulary head, so it has no scores over the vocabulary.",
        "该网络没有词表输出层，无法给出词表分数。",
        "Build or read it with vocabulary=True, from a checkpoint that has such a head.",
        "请以 vocabulary=True 构建，或从带有输出层的检查点读取。",
    ),
    "P-MODEL-009": Message(
        "An encoder alone cannot continue a text.",
        "只有编码器的网络不能续写文本。",
        "Use a decoder (llama) or an encoder-decoder (t5).",
        "请使用解码器（llama）或编码器-解码器（t5）。",
    ),
    "P-MODEL-010": Message(
        "{given!r} is not a family that Penjing knows.",
        "Penjing 不认识家族 {given!r}。",
        "Use a checkpoint of one of the known families.",
        "请使用已知家族的检查点。",
    ),
    "P-MODEL-011": Message(
        "The config sets {given!r} to {value!r}, and Penjing does not know this key; ignoring it could change answers.",
        "配置把 {given!r} 设为 {value!r}，Penjing 不认识该项；忽略它可能改变结果。",
        "Remove the key if it does not matter, or use another checkpoint.",
        "若该项无关紧要，请删除；否则请换一个检查点。",
    ),
    "P-MODEL-012": Message(
        "the config asks for a value that Penjing does not support.",
        "配置要求的值 Penjing 不支持。",
        "Use a checkpoint with a known value.",
        "请使用取值受支持的检查点。",
    ),
    "P-MODEL-013": Message(
        "The family {family} has no network for the purpose {given!r}.",
        "家族 {family} 没有用于 {given!r} 的网络。",
        "Choose one of the known purposes, or another family.",
        "请选择已知用途之一，或换一个家族。",
    ),
    "P-MODEL-014": Message(
        "The weights do not fit the config: {count} names (- missing, + left over, ≠ of another shape or type):\n    {names}",
        "权重与配置不符：共 {count} 个名称（- 缺少，+ 多余，≠ 形状或类型不同）：\n    {names}",
        "Use the config.json and the weights of one and the same checkpoint.",
        "请使用同一检查点的 config.json 和权重。",
    ),
    "P-MODEL-015": Message(
        "There is no config.json in this folder, so it is not a model.",
        "该文件夹中没有 config.json，不是模型。",
        "Give the folder of a model (config.json, model.safetensors).",
        "请给出模型所在的文件夹（含 config.json 和 model.safetensors）。",
    ),
    "P-MODEL-016": Message(
        "There are no weights in this folder: neither model.safetensors nor pytorch_model.bin, nor an index of them.",
        "该文件夹中没有权重：没有 model.safetensors 或 pytorch_model.bin，也没有它们的索引。",
        "Copy the weights there, or train the model again.",
        "请把权重放到该文件夹，或重新训练模型。",
    ),
    "P-MODEL-017": Message(
        "These weights are a pickle, which can run any code when it is opened; Penjing opens only pytorch_model.bin, "
        "by torch's weights-only loader.",
        "这些权重是 pickle 文件，打开时可执行任意代码；Penjing 只通过 torch 的 weights-only 方式读取 pytorch_model.bin。",
        "Convert them to safetensors (most models on the Hub have both).",
        "请转换为 safetensors 格式（多数模型两种格式都有）。",
    ),
    "P-MODEL-018": Message(
        "This file of weights is broken or not whole ({bytes} bytes): {reason}.",
        "该权重文件损坏或不完整（{bytes} 字节）：{reason}。",
        "Copy or download it again, or go back to an earlier checkpoint.",
        "请重新复制或下载，或使用更早的检查点。",
    ),
    "P-MODEL-019": Message(
        "The index names a file of weights that is not there.",
        "索引中列出的权重文件不存在。",
        "Copy the missing file next to the index.",
        "请把缺少的文件放到索引旁边。",
    ),
    "P-MODEL-020": Message(
        "The architecture {given} is not one that Penjing reads in this family.",
        "Penjing 在该家族中不读取架构 {given}。",
        "Use a checkpoint of a known architecture.",
        "请使用已知架构的检查点。",
    ),
    "P-MODEL-021": Message(
        "The family {family} cannot express this network; it would change: {names}.",
        "家族 {family} 无法表达该网络，以下内容会改变：{names}。",
        "Choose the family whose network it is, or change these fields.",
        "请选择与网络相符的家族，或修改这些字段。",
    ),
    "P-MODEL-022": Message(
        "The checkpoint's config takes no extra key {given!r}.",
        "检查点配置不接受额外的项 {given!r}。",
        "Use one of the known keys.",
        "请使用已知的项。",
    ),
    "P-MODEL-023": Message(
        "The head has {labels} labels, and {given} names were given.",
        "输出层有 {labels} 个标签，但给出了 {given} 个名称。",
        "Give one name per label in id2label.",
        "请在 id2label 中为每个标签给出一个名称。",
    ),
    "P-MODEL-024": Message(
        "The purpose {given!r} and the network's heads do not fit: {reason}.",
        "用途 {given!r} 与网络的输出层不符：{reason}。",
        "Classes, tags and spans have a head of their own and no vocabulary head; guessing tokens needs the latter.",
        "分类、标注与片段任务有各自的输出层而没有词表层；预测词元则需要词表层。",
    ),
    "P-MODEL-030": Message(
        "the config asks for a kind of rotary scaling that Penjing does not compute.",
        "配置要求的旋转位置缩放方式 Penjing 不支持。",
        "Use a checkpoint with one of the known kinds.",
        "请使用采用已知方式的检查点。",
    ),
    "P-MODEL-031": Message(
        "rotary scaling of the kind {kind} needs a value that the config lacks.",
        "{kind} 旋转位置缩放所需的值在配置中缺失。",
        "Add {field} to rope_parameters (or rope_scaling).",
        "请在 rope_parameters（或 rope_scaling）中补上 {field}。",
    ),
    "P-MODEL-033": Message(
        "A network of {given} parameters is too small for a vocabulary of {vocabulary} tokens.",
        "{given} 个参数的网络对于 {vocabulary} 个词元的词表来说太小。",
        "Give a larger size, or train a tokenizer with fewer tokens.",
        "请给出更大的规模，或训练词元更少的分词器。",
    ),
    "P-MODEL-034": Message(
        "The size {given!r} is neither a preset nor a number of parameters.",
        "{given!r} 既不是预设规模，也不是参数数量。",
        "Use one of the presets, or a number such as 800k, 20M or 1.5B.",
        "请使用预设规模之一，或 800k、20M、1.5B 这样的数量。",
    ),
    "P-MODEL-032": Message(
        "a value in the config is of a wrong kind: {reason}.",
        "配置中有类型不正确的值：{reason}。",
        "Use the config.json that came with the weights.",
        "请使用与权重配套的 config.json。",
    ),
    "P-MODEL-040": Message(
        "the source and the target have vocabularies of their own ({size} and {given} rows); Penjing reads Marian with one "
        "for both.",
        "源语言与目标语言各用一套词表（{size} 行与 {given} 行）；Penjing 只读取共用一套词表的 Marian。",
        "Use a translator with a shared vocabulary, as nearly all of opus-mt are.",
        "请使用共享词表的翻译模型（opus-mt 几乎都是）。",
    ),
    "P-MODEL-060": Message(
        "A network of the family {family} has no {field}.",
        "家族 {family} 的网络没有 {field}。",
        "Leave {field} out, or choose a family of Transformers.",
        "请去掉 {field}，或选择 Transformer 类的家族。",
    ),
    "P-MODEL-070": Message(
        "The output of the family {family} always shares the matrix of the embeddings; `tied: {given}` cannot be.",
        "家族 {family} 的输出层始终与词嵌入共用矩阵，不能设为 `tied: {given}`。",
        "Leave `tied` out, or choose a family that can do without, such as llama, gpt2, modernbert or lstm.",
        "请去掉 `tied`，或选择可以不共用的家族，例如 llama、gpt2、modernbert 或 lstm。",
    ),
    "P-MODEL-050": Message(
        "This file of weights holds something other than tensors, or is broken; nothing in it was run ({reason}).",
        "该权重文件包含张量以外的内容，或已损坏；其中的内容均未执行（{reason}）。",
        "Use the safetensors file of the same model, or ask whoever made it for one.",
        "请使用同一模型的 safetensors 文件，或向其制作者索取。",
    ),
    "P-MODEL-051": Message(
        "There is no folder {given!r} here, and no such model or revision on the Hugging Face hub.",
        "此处没有文件夹 {given!r}，Hugging Face Hub 上也没有该模型或版本。",
        "Check the spelling (owner/name or owner/name@revision); a private model needs HF_TOKEN.",
        "请检查拼写（owner/name 或 owner/name@revision）；私有模型需要设置 HF_TOKEN。",
    ),
    "P-MODEL-052": Message(
        "The model {given!r} is gated: its owner gives it only to those who accept its terms.",
        "模型 {given!r} 需要授权：须先接受其所有者的使用条款。",
        "Accept the terms on its page on the hub, then log in (`hf auth login`) or set HF_TOKEN.",
        "请在 Hub 的模型页面上接受条款，然后登录（hf auth login）或设置 HF_TOKEN。",
    ),
    "P-MODEL-053": Message(
        "There is no folder {given!r} here, and as a model of the hub it was neither downloaded before nor can be now: "
        "{reason}",
        "此处没有文件夹 {given!r}；作为 Hub 上的模型，它此前未下载过，现在也无法下载：{reason}",
        "Go online (and unset HF_HUB_OFFLINE), name a mirror in HF_ENDPOINT, or copy the model's folder here and give its path.",
        "请联网（并取消 HF_HUB_OFFLINE），用 HF_ENDPOINT 指定镜像，或将模型文件夹复制到本机并给出其路径。",
    ),
    "P-MODEL-054": Message(
        "A folder of this machine has no revision {given!r}; only models on the hub have revisions.",
        "本机文件夹没有版本 {given!r}；只有 Hub 上的模型才有版本。",
        "Leave the revision out, or write hub:owner/name.",
        "请去掉版本，或写成 hub:owner/name。",
    ),
    "P-MODEL-076": Message(
        "One direction of each matrix takes {least} of all their numbers already; {field}={given} is less.",
        "每个矩阵只留一个方向就已占全部数值的 {least}；{field}={given} 更少。",
        "Keep more, or name fewer and larger matrices in `where`.",
        "请多保留一些，或在 `where` 中只指定更少、更大的矩阵。",
    ),
}
