"""Messages about the machine: missing extras, interrupts, limits."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-SYSTEM-001": Message(
        "{what} needs the Python module {module!r}, which is not installed.",
        "{what} 需要 Python 模块 {module!r}，但尚未安装。",
        'Run: pip install "penjing[{extra}]"',
        '请运行：pip install "penjing[{extra}]"',
    ),
    "P-SYSTEM-002": Message(
        "A fault of Penjing, not yours: {kind}: {reason}. {saved}",
        "这是 Penjing 的错误，不是你的错：{kind}：{reason}。{saved}",
        "Report it with that file, or see the traceback with PENJING_DEBUG=1. Whole step folders are kept.",
        "请附上该文件报告此问题，或用 PENJING_DEBUG=1 查看调用栈。已完成的步骤文件夹均保留。",
    ),
    "P-SYSTEM-003": Message(
        "The command line could not be understood: {reason}",
        "无法理解该命令行：{reason}",
        "See: {command} --help",
        "请查看：{command} --help",
    ),
    "P-SYSTEM-004": Message(
        "Stopped by you. What is whole is kept; the same command goes on from there.",
        "已按你的要求停止。已完成的内容均保留；再次运行同一命令即可继续。",
        "Run the same command again to go on.",
        "再次运行同一命令即可继续。",
    ),
}
