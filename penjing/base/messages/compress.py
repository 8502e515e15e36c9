"""Messages about compression within a budget of quality."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-CHANGE-110": Message(
        "This is no budget of quality: {given!r}.",
        "这不是可用的质量预算：{given!r}。",
        "Write it with its sign, as 0.5%: points of a hundred of the task's main score; 0% allows no loss at all.",
        "请带百分号书写，如 0.5%：即任务主指标的百分点；0% 表示不允许任何损失。",
    ),
    "P-CHANGE-111": Message(
        "This is no amount above zero with its unit: {given!r}.",
        "这不是带单位的正数：{given!r}。",
        "Write a number and one of the units, as 5MB or 3ms.",
        "请写数字和其中一个单位，如 5MB 或 3ms。",
    ),
    "P-CHANGE-112": Message(
        "No model that was shown to be within the budget is as small or as quick as asked ({given}): the smallest reached is "
        "{stack} with {size}, and the quickest needs {latency} a record.",
        "在预算内得到证明的模型都达不到要求（{given}）：最小的是 {stack}，{size}；最快的每条记录需 {latency}。",
        "Ask for no less than that, or allow a larger --max-drop, more --minutes or --rounds; all points that were measured stay "
        "in points.jsonl of the unfinished step beside it.",
        "请不要低于该值，或放宽 --max-drop，或增加 --minutes、--rounds；所有测得的点保留在旁边未完成步骤的 points.jsonl 中。",
    ),
    "P-CHANGE-113": Message(
        "There are no valid records, by which the search could measure what is lost.",
        "没有 valid 记录，搜索无法衡量损失。",
        "Give a clean step with a valid split (valid, or valid_share); the more records it has, the smaller a loss can be shown.",
        "请给出含 valid 集的 clean 步骤（valid 或 valid_share）；记录越多，能证明的损失越小。",
    ),
    "P-CHANGE-114": Message(
        "The task {task} gives no score, so nothing says what is lost.",
        "任务 {task} 没有得分，无法衡量损失。",
        "Compress a model whose task is scored, such as classify, tag, span, seq2seq; `penjing shrink` makes any model smaller.",
        "请压缩有得分的任务的模型，如 classify、tag、span、seq2seq；`penjing shrink` 可以缩小任何模型。",
    ),
    "P-CHANGE-115": Message(
        "This model carries changes already, and it could not be cut within them: {given}.",
        "该模型已带有修改，无法在其中继续裁剪：{given}。",
        "Fold them by `penjing merge` first, or give the model that they were made on.",
        "请先用 `penjing merge` 合并，或给出未修改的模型。",
    ),
    "P-CHANGE-116": Message(
        "Nothing that may be tried makes this network smaller: {reasons}.",
        "可尝试的方法都无法缩小该网络：{reasons}。",
        "Leave `methods` out, so that all are tried.",
        "请不要给出 `methods`，以便尝试所有方法。",
    ),
}
