"""Messages about generation."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {
    "P-GENERATE-020": Message(
        "A row of {length} tokens cannot go back to {given}: its window layers have let go of what comes before.",
        "长度为 {length} 个词元的行无法退回到 {given} 个：窗口层已不再保存更早的内容。",
        "Cut at most {step} tokens at once, or read the text again.",
        "每次最多退回 {step} 个词元，或重新读入文本。",
    ),
}
