"""Messages about files and folders."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-FILE-001": Message(
        "There is no file or folder here: {path}.",
        "此处没有文件或文件夹：{path}。",
        "Check the path; a relative path counts from {base}.",
        "请检查路径；相对路径以 {base} 为起点。",
    ),
    "P-FILE-002": Message(
        "The disk is full: {path} could not be written. Nothing half-written was kept.",
        "磁盘已满：无法写入 {path}。没有留下写了一半的文件。",
        "Free some space or choose another folder, then run the same command again.",
        "请腾出空间或换一个文件夹，然后重新运行同一命令。",
    ),
    "P-FILE-003": Message(
        "The system does not permit it: {path}: {reason}. Nothing half-written was kept.",
        "系统不允许访问 {path}：{reason}。没有留下写了一半的文件。",
        "Choose a place that you may read or write, or change its permissions.",
        "请选择有读写权限的位置，或修改其权限。",
    ),
    "P-FILE-004": Message(
        "{path} could not be read: {reason}.",
        "无法读取 {path}：{reason}。",
        "Check that the file is whole and that you may read it.",
        "请确认文件完整且有读取权限。",
    ),
    "P-FILE-005": Message(
        "A file stands where a folder is needed, or a folder where a file is needed: {path}.",
        "此路径上该是文件夹之处是文件，或该是文件之处是文件夹：{path}。",
        "Choose another path.",
        "请换一个路径。",
    ),
}
