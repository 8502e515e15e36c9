"""Messages about cleaning text."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-TEXT-001": Message(
        "A process that cleaned text has ended (status {status}).",
        "一个清洗文本的进程已结束（状态 {status}）。",
        "The machine may be out of memory; try again with workers=1.",
        "可能是内存不足；请用 workers=1 重试。",
    ),
}
