"""Messages of the area `export`: models for other runtimes, and the certificates of their round trips."""

from penjing.base.messages.message import Message

MESSAGES: dict[str, Message] = {
    "P-EXPORT-001": Message(
        "{given} cannot hold this model ({family}, {task}): {reason}.",
        "{given} 不支持这个模型（{family}，{task}）：{reason}。",
        "Targets that can hold it: {able}. docs/export.md lists them for each family.",
        "支持它的目标：{able}。各模型族的对应表见 docs/export.md。",
    ),
    "P-EXPORT-002": Message(
        "the export {given} does not answer as the model does: {findings}. It was not kept.",
        "导出结果 {given} 的回答与原模型不一致：{findings}。该导出没有保留。",
        "Choose a target with finer numbers (hf, onnx, half with float16), or mend what is named.",
        "请改用精度更高的目标（hf、onnx，或 float16 的 half），或修正上面指出的问题。",
    ),
    "P-EXPORT-003": Message(
        "The target {given} is asked for twice.",
        "目标 {given} 被要求了两次。",
        "Name each target once; two forms of one target need two calls.",
        "每个目标只写一次；同一目标的两种形式请分两次导出。",
    ),
    "P-EXPORT-004": Message(
        "this part of the network has no ONNX operations: {given} is a {kind}.",
        "网络的这一部分没有对应的 ONNX 运算：{given} 是 {kind}。",
        "Export it as hf, or fold or remove the change that put it there.",
        "请导出为 hf，或先合并或移除放入它的改动。",
    ),
    "P-EXPORT-005": Message(
        "What lies here is no single network but of the kind {given!r}, and only networks are exported.",
        "此处不是单个网络，而是 {given!r} 类型；只有网络可以导出。",
        "Give the model folder of one member, or make one of several with the stage ensemble and way: soup.",
        "请给出其中一个成员的模型文件夹，或用 ensemble 阶段的 way: soup 合成一个模型。",
    ),
    "P-EXPORT-006": Message(
        "onnxruntime could not quantize the graph: {reason}.",
        "onnxruntime 无法量化该图：{reason}。",
        "Export it as onnx; another version of onnxruntime may know how.",
        "请导出为 onnx；其他版本的 onnxruntime 或许可以。",
    ),
    "P-EXPORT-007": Message(
        "No target is named.",
        "没有指定导出目标。",
        "Name at least one: --to hf",
        "请至少指定一个：--to hf",
    ),
    "P-EXPORT-048": Message(
        "These targets failed and left nothing: {names}. These are written and proven: {kept}.",
        "以下目标失败，没有留下任何文件：{names}。以下目标已写出并通过验证：{kept}。",
        "Mend what is told below, or leave the failed ones out; the same command writes all of its targets again.",
        "请修正下面指出的问题，或去掉失败的目标；再次运行同一命令会重新写出全部目标。",
    ),
}
