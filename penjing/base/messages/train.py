"""Messages about training."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-TRAIN-001": Message(
        "Training stopped at step {step}: {what} is not a finite number. Records of the batch: {records}. "
        "The last good state is kept.",
        "训练在第 {step} 步停止：{what} 不是有限数。该批次的记录：{records}。上一个正常状态已保留。",
        "Look at those records; lower the learning rate, or set clip lower.",
        "请检查这些记录；降低学习率，或调小 clip。",
    ),
    "P-TRAIN-002": Message(
        "Stopped by {signal} after step {step}. The state was saved.",
        "收到 {signal}，在第 {step} 步之后停止。状态已保存。",
        "Run the same command again to go on from there, to the same result.",
        "再次运行同一命令即可从该处继续，结果完全相同。",
    ),
    "P-TRAIN-003": Message(
        "There is nothing to train on: {what}.",
        "没有可供训练的内容：{what}。",
        "Give at least a few documents with text.",
        "请提供至少几篇有文字的文档。",
    ),
    "P-TRAIN-004": Message(
        "The saved state {file} does not fit this run: {reason}.",
        "已保存的状态 {file} 与本次运行不符：{reason}。",
        "Remove the unfinished step folder to start anew.",
        "删除未完成的步骤文件夹即可重新开始。",
    ),
    "P-TRAIN-005": Message(
        "{given} of the options steps, epochs and minutes are set; exactly one says how long to train.",
        "steps、epochs、minutes 中设定了 {given} 个；应恰好用其中一个说明训练多久。",
        "Set one of them and leave the others out.",
        "请只设定其中一个。",
    ),
    "P-TRAIN-006": Message(
        "The resume certificate failed: the resumed run ended in other weights than the uninterrupted one.",
        "续训证明失败：续训所得权重与未中断的训练不同。",
        "Please report this with the certificate file; do not trust a resumed run on this machine.",
        "请附上该证明文件报告此问题；在这台机器上不要信任续训的结果。",
    ),
    "P-TRAIN-007": Message(
        "The option {option!r} has no effect: it is for {needs}.",
        "选项 {option!r} 在此不起作用：它只用于 {needs}。",
        "Leave it out, or set what it is for.",
        "请去掉该选项，或设定它所对应的选项。",
    ),
    "P-TRAIN-020": Message(
        "The {records} training records are {count} groups of near duplicates, too few for {members} folds.",
        "{records} 条训练记录只构成 {count} 组近似重复，不足以分成 {members} 折。",
        "Give fewer members, or more records that differ.",
        "请减少 members，或提供更多不同的记录。",
    ),
    "P-TRAIN-021": Message(
        "The answers of several models of the task {task} cannot be scored together, so there are no folds of it.",
        "任务 {task} 的多个模型的答案无法合在一起评分，因此不能分折。",
        "Leave `folds` out: the members then differ by their seeds.",
        "请去掉 `folds`：各成员将只有随机种子不同。",
    ),
    "P-TRAIN-050": Message(
        "The states of frozen blocks can be kept for a Transformer with an encoder or a decoder; {given} is something else.",
        "只有单个编码器或单个解码器的 Transformer 才能保存冻结层的状态；{given} 不是。",
        "Leave keep_states out.",
        "请去掉 keep_states。",
    ),
    "P-TRAIN-051": Message(
        "There are no states to keep: something below the second block is trained ({given}).",
        "没有可保存的状态：第二层以下有参数在训练（{given}）。",
        "Train only upper blocks, as change: {{freeze: {{top: 2}}}}, or leave keep_states out.",
        "请只训练上面的层，例如 change: {{freeze: {{top: 2}}}}，或去掉 keep_states。",
    ),
    "P-TRAIN-052": Message(
        "{file} needs {given} for the states of frozen blocks; {most} are free.",
        "{file} 保存冻结层状态需要 {given}；可用空间 {most}。",
        "Free some space, set keep_states: float16 (half of it), a shorter window, or leave it out.",
        "请腾出空间，或设 keep_states: float16（减半）、更短的 window，或去掉该选项。",
    ),
    "P-TRAIN-065": Message(
        "The blocks of a Transformer can be computed again; {given} has none.",
        "只有 Transformer 的层可以重新计算；{given} 没有这样的层。",
        "Leave checkpointing out; a smaller batch_tokens needs less memory too.",
        "请去掉 checkpointing；较小的 batch_tokens 同样能节省内存。",
    ),
    "P-TRAIN-066": Message(
        "moments: 8bit has no effect: it is for tensors of {least} values and more, and AdamW moves none of more than {most}.",
        "moments: 8bit 在此不起作用：由 AdamW 记录动量的最大张量只有 {most} 个值，该选项用于 {least} 个以上的张量。",
        "Leave it out: so few moments take next to no memory.",
        "请去掉该选项：这么少的动量几乎不占内存。",
    ),
    "P-TRAIN-067": Message(
        "This run does not fit into the memory: {most} are free, beside the weights ({weights}). Gradients need {gradients}, "
        "the optimizer {optimizer}, activations of the largest batch {activations}, copies of weights {copies}.",
        "内存不足以进行此次训练：除权重（{weights}）外可用 {most}。梯度需要 {gradients}，优化器 {optimizer}，"
        "最大批次的激活 {activations}，权重副本 {copies}。",
        "Take one or several of: {ways}.",
        "可采用其中一项或几项：{ways}。",
    ),
    "P-TRAIN-057": Message(
        "The model {file} is of the task {task!r}; the reward `model` is one that scores whole answers.",
        "模型 {file} 的任务是 {task!r}；奖励 `model` 需要能为整个回答打分的模型。",
        "Train one with finetune --task reward; of a classifier take the reward `classifier`.",
        "请用 finetune --task reward 训练一个；若是分类器，请用奖励 `classifier`。",
    ),
    "P-TRAIN-068": Message(
        "{given!r} cannot become a new token: {reason}.",
        "{given!r} 不能成为新标记：{reason}。",
        "Correct new_tokens, or leave it out of them.",
        "请改正 new_tokens，或从中去掉它。",
    ),
    "P-TRAIN-069": Message(
        "This model's tokenizer cannot be given new tokens: {reason}.",
        "无法为该模型的分词器添加新标记：{reason}。",
        "Fold its changes first (`penjing merge`), take its base, or leave new_tokens out.",
        "请先并入其修改（`penjing merge`）、改用其基础模型，或去掉 new_tokens。",
    ),
    "P-TRAIN-070": Message(
        "The rows of the new tokens would stay as they begin: with this change {paths} is not trained.",
        "新标记对应的行将保持初始值：在此修改下 {paths} 不参与训练。",
        "Let the change train it too, as change: {{lora: {{whole: {where}}}}}, or train all.",
        "请让该修改也训练它，例如 change: {{lora: {{whole: {where}}}}}，或训练全部参数。",
    ),
    "P-TRAIN-031": Message(
        "The reward {reward} needs the field {field!r}, which {count} records lack.",
        "奖励 {reward} 需要字段 {field!r}，有 {count} 条记录缺少它。",
        "Add the field to the records, or name another one in the reward's options.",
        "请在记录中补上该字段，或在奖励的选项中指定其他字段。",
    ),
    "P-TRAIN-032": Message(
        "The prompt has {given} tokens; with {most} for the answer that is more than the window of {window}.",
        "提示有 {given} 个词元；加上回答的 {most} 个，超过了窗口 {window}。",
        "Shorten or remove such records, set max_new_tokens lower, or take a model with a longer window.",
        "请缩短或去掉这些记录，调小 max_new_tokens，或使用窗口更长的模型。",
    ),
    "P-TRAIN-033": Message(
        "The reward {reward} failed on the answer {answer!r}: {reason}. The last good state is kept.",
        "奖励 {reward} 在回答 {answer!r} 上出错：{reason}。上一个正常状态已保留。",
        "A reward must take any text, also an empty one. Correct it and run the same command again.",
        "奖励必须能处理任何文本，包括空文本。请改正后再次运行同一命令。",
    ),
    "P-TRAIN-034": Message(
        "The reward {reward} gave {given} for the answer {answer!r}, which is no finite number. The last good state is kept.",
        "奖励 {reward} 对回答 {answer!r} 给出了 {given}，不是有限的数。上一个正常状态已保留。",
        "A reward gives a number for any text, 0 where an answer is worth nothing.",
        "奖励对任何文本都应给出一个数；回答没有价值时给 0。",
    ),
    "P-TRAIN-035": Message(
        "The file with the reward function cannot be run: {reason}.",
        "无法运行奖励函数所在的文件：{reason}。",
        "Run it by itself with Python until it ends without an error.",
        "请先单独用 Python 运行该文件，直到没有错误。",
    ),
    "P-TRAIN-036": Message(
        "The reward {reward} cannot read {given!r}: {reason}.",
        "奖励 {reward} 无法理解 {given!r}：{reason}。",
        "Correct the pattern or schema.",
        "请改正该表达式或模式。",
    ),
    "P-TRAIN-037": Message(
        "A model of the task {task} writes no answers token by token after a prompt, so rewards cannot teach it.",
        "任务 {task} 的模型不会在提示之后逐词元写出回答，因此无法用奖励来训练。",
        "Give a causal model: one pre-trained with `causal`, or fine-tuned with `chat` or `preference`.",
        "请给出因果模型：用 `causal` 预训练，或用 `chat`、`preference` 微调的模型。",
    ),
    "P-TRAIN-038": Message(
        "A step wants {given} prompts, but there are only {count} records to learn from.",
        "每步需要 {given} 个提示，但只有 {count} 条可供学习的记录。",
        "Set `prompts` lower, or give more records.",
        "请调小 `prompts`，或提供更多记录。",
    ),
    "P-TRAIN-039": Message(
        "The field {field!r} of {count} records has no arithmetic that can be computed: {given!r}.",
        "{count} 条记录的字段 {field!r} 中没有可以计算的算式：{given!r}。",
        "Give an expression of numbers, + - * / and parentheses, or name another field.",
        "请给出由数字、+ - * / 和括号组成的算式，或指定其他字段。",
    ),
    "P-TRAIN-053": Message(
        "No change is named that makes the model smaller.",
        "没有给出任何会缩小模型的修改。",
        "Give `change`, as `heads` or `[layers, heads, lowrank]`.",
        "请给出 `change`，例如 `heads` 或 `[layers, heads, lowrank]`。",
    ),
    "P-TRAIN-054": Message(
        "{given} makes no model smaller: it is trained.",
        "{given} 不会缩小模型：它是用来训练的。",
        "Give it as `change` to `finetune`, or name another change here.",
        "请在 `finetune` 中用 `change` 给出它，或在此换用其他修改。",
    ),
    "P-TRAIN-055": Message(
        "Read again, the smaller model answers otherwise: scores differ by {distance} of the largest.",
        "重新读取后，缩小的模型回答不同：得分相差最大值的 {distance}。",
        "No model was left. This should not happen: please report it with the certificate.",
        "没有留下模型。这种情况不应发生：请附上该证书报告此问题。",
    ),
    "P-TRAIN-056": Message(
        "This is no single network that could become smaller: a classical model, or several models that answer as one.",
        "它不是可以缩小的单个网络（而是经典模型，或多个共同回答的模型）。",
        "Give a finetune, merge or shrink step, or a model folder; of an ensemble one of its members.",
        "请给出 finetune、merge 或 shrink 步骤，或模型文件夹；若是集成，请给出其中一个成员。",
    ),
    "P-TRAIN-111": Message(
        "There are no training records here, from which calibration could take its texts.",
        "此处没有训练记录，校准无法从中取得文本。",
        "Give a folder with a train.jsonl that holds records of the kind that the model is for, such as a clean step.",
        "请给出含有 train.jsonl 的文件夹（如 clean 步骤），其中的记录须与模型用途相符。",
    ),
}
