"""Messages about learning from a teacher, and about reward models."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-TASK-137": Message(
        "The task {task!r} cannot be learnt from a teacher.",
        "任务 {task!r} 不能向教师模型学习。",
        "Take one of: classify, regress, tag, span, embed, chat, seq2seq; in pretrain masked, causal or denoise.",
        "请选用：classify、regress、tag、span、embed、chat、seq2seq；pretrain 中为 masked、causal 或 denoise。",
    ),
    "P-TASK-138": Message(
        "The teacher {file} cuts texts by another vocabulary ({given} tokens) than the student ({wanted}); {what} needs "
        "the same one.",
        "教师 {file} 的词表（{given} 个标记）与学生的（{wanted} 个）不同；{what} 需要相同的词表。",
        "Give the student the teacher's tokenizer. Only classify, regress and embed are learnt by text, without hidden, "
        "attention and relations.",
        "请让学生使用教师的分词器。只有 classify、regress 和 embed 能按文本学习，且不能带 hidden、attention、relations。",
    ),
    "P-TASK-139": Message(
        "The teacher {file} answers in other {field}. Only the teacher has: {given}. Only the student: {wanted}.",
        "教师 {file} 的 {field} 不同。只有教师有：{given}。只有学生有：{wanted}。",
        "Teacher and student must have the same; their order may differ.",
        "教师与学生必须一致，顺序可以不同。",
    ),
    "P-TASK-140": Message(
        "The teacher {file} is a model of the task {given!r}; its scores teach nothing of {task!r}.",
        "教师 {file} 是任务 {given!r} 的模型，它的分数教不了 {task!r}。",
        "Give a teacher of the same task, or learn only what is inside it: soft: 0 with hidden, attention or relations.",
        "请给出同一任务的教师，或只学习其内部：soft: 0，并设定 hidden、attention 或 relations。",
    ),
    "P-TASK-141": Message(
        "A student with a CRF cannot learn a teacher's scores token by token.",
        "带 CRF 的学生无法逐个标记地学习教师的分数。",
        "Leave crf out of the student's options (the teacher may have one), or set soft: 0.",
        "请去掉学生的 crf 选项（教师可以有），或设 soft: 0。",
    ),
    "P-TASK-142": Message(
        "`{given}` compares attention, and the {network} has none.",
        "`{given}` 比较的是注意力，而{network}没有注意力。",
        "Take hidden, or leave it out.",
        "请改用 hidden，或去掉它。",
    ),
    "P-TASK-143": Message(
        "What is inside a student with {given} cannot be compared with a teacher with {wanted}.",
        "学生的结构是 {given}，教师的是 {wanted}，两者内部无法比较。",
        "Leave hidden, attention and relations out, or take a student built like its teacher.",
        "请去掉 hidden、attention 和 relations，或选用与教师结构相同的学生。",
    ),
    "P-TASK-144": Message(
        "The layers {given} do not fit: {count} are needed, each from 1 to {most}.",
        "层号 {given} 不合适：需要 {count} 个，每个在 1 到 {most} 之间。",
        "Name for each of the student's blocks one of the teacher's, or say spread or last.",
        "请为学生的每一层指定教师的一层，或写 spread 或 last。",
    ),
    "P-TASK-145": Message(
        "Attention is learnt head by head: the student has {given} heads, the teacher {wanted}.",
        "注意力是逐头学习的：学生有 {given} 个头，教师有 {wanted} 个。",
        "Take a student with as many heads, or relations, which need no equal number.",
        "请让两者头数相同，或改用不要求头数相同的 relations。",
    ),
    "P-TASK-146": Message(
        "{given} relation heads do not divide the widths {widths}.",
        "{given} 个关系头无法整除宽度 {widths}。",
        "Take a divisor of {most}, or leave heads out.",
        "请取 {most} 的一个约数，或省略 heads。",
    ),
    "P-TASK-147": Message(
        "The teacher {file} is {count} models that answer as one: they have no single network to learn from.",
        "教师 {file} 由 {count} 个模型共同作答，没有单一的网络可供学习。",
        "Let them teach classify or regress without hidden, attention, relations and copy; else take one of its members.",
        "让它们教 classify 或 regress，且不带 hidden、attention、relations 与 copy；否则请取其中一个成员。",
    ),
    "P-TASK-148": Message(
        "The blocks to copy, {given}, do not fit the teacher's {side}, which has {most}.",
        "要复制的层 {given} 与教师的 {side} 不符，它有 {most} 层。",
        "Give a number of blocks, or different numbers from 1 to {most}.",
        "请给出层数，或 1 到 {most} 之间互不相同的层号。",
    ),
    "P-TASK-149": Message(
        "The first block of the teacher's {side} is built otherwise than the others, so the copy must begin with it.",
        "教师 {side} 的第一层与其他层结构不同，复制必须从第一层开始。",
        "Let the list of blocks begin with 1, or give a number.",
        "请让层号列表以 1 开头，或只给出层数。",
    ),
    "P-TASK-151": Message(
        "There is no answer to be scored: the record has {given}.",
        "没有可评分的回答：该记录有 {given}。",
        "Give `prompt` with `completion`, or with `chosen` and `rejected`, or a conversation that ends with the assistant.",
        "请给出 `prompt` 与 `completion`，或 `prompt` 与 `chosen`、`rejected`，或以 assistant 结尾的对话。",
    ),
    "P-TASK-152": Message(
        "A reward model learns from pairs: chosen and rejected. The record has {given}.",
        "奖励模型从成对的 chosen 与 rejected 学习。该记录有 {given}。",
        "Give pairs; single judged answers can be measured, and `preference` learns from them with method: kto.",
        "请给出成对的回答；单个判定只能用于评测，或用 `preference` 的 method: kto 学习。",
    ),
    "P-TASK-153": Message(
        "`{given}` compares what blocks say of each token, and a change puts learnt vectors before the text.",
        "`{given}` 比较各层对每个标记的表示，而某个 change 在文本之前放置了可学习的向量。",
        "Take another change than prompt and ptuning (prefix and lora may stand), or learn scores alone.",
        "请改用 prompt 与 ptuning 以外的 change（可用 prefix、lora），或只学习分数。",
    ),
    "P-TASK-150": Message(
        "Nothing is learnt of the teacher: soft is 0, and hidden, attention and relations are left out.",
        "没有向教师学习任何东西：soft 为 0，且未设定 hidden、attention 与 relations。",
        "Set soft above 0, or one of the others; or leave distil out.",
        "请将 soft 设为大于 0，或设定其余之一；或去掉 distil。",
    ),
}
