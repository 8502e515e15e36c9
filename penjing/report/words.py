"""The words of a report in English and Chinese."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "report_of": ("Report: {title}", "报告：{title}"),
    "scores": ("Scores", "得分"),
    "accuracy": ("accuracy", "准确率"),
    "macro_f1": ("macro-F1", "宏平均 F1"),
    "micro_f1": ("micro-F1", "微平均 F1"),
    "mcc": ("MCC", "MCC"),
    "mse": ("mean squared error", "均方误差"),
    "rmse": ("root of the mean squared error", "均方根误差"),
    "log_loss": ("log loss", "对数损失"),
    "brier": ("Brier", "Brier 分数"),
    "calibration_error": ("calibration error", "校准误差"),
    "measured_on": (
        "Measured on {records} records of the split {split}; intervals: {confidence} %, {resamples} resamples.",
        "在 {split} 划分的 {records} 条记录上测得；区间为 {confidence} %，重采样 {resamples} 次。",
    ),
    "on_valid": (
        "These are scores on the validation split, which training has looked at: expect less on new text.",
        "这些是验证集上的得分，训练过程曾参考过它：在新文本上会略低。",
    ),
    "no_baseline": (
        "Measured without a baseline beside it: whether this model is worth it is open.",
        "评估时没有可比较的基线：此模型是否值得尚无结论。",
    ),
    "no_verdict": (
        "No evaluation was given: nothing is proven about this model yet.",
        "没有给出评估结果：此模型尚无任何证明。",
    ),
    "fewshot": ("Examples in the prompt", "提示中的示例"),
    "shots": ("examples", "示例数"),
    "shown": ("shown on average", "平均展示"),
    "accuracy_by_seed": ("accuracy, seed by seed", "各随机种子的准确率"),
    "prompted": ("prompted", "提示"),
    "trained": ("trained", "训练好的模型"),
    "prompt": ("A prompt", "提示示例"),
    "shots_note": (
        "{records} records of the split {split}. Classical models are fitted on all of train; the prompted model saw only "
        "the examples in its prompt. Intervals: {confidence} %, over records.",
        "{split} 划分的 {records} 条记录。经典模型用全部训练数据拟合；提示模型只看到提示中的示例。"
        "区间为 {confidence} %，按记录重采样。",
    ),
    "model": ("model", "模型"),
    "candidate": ("candidate", "候选"),
    "texts_per_second": ("texts per second", "每秒文本数"),
    "fit_seconds": ("fitting, s", "训练用时（秒）"),
    "size": ("size, MB", "大小（MB）"),
    "ensemble": ("The ensemble (model and best baseline together): {text}", "集成（模型与最佳基线合用）：{text}"),
    "weights": (
        "Weights of the ensemble, chosen on the validation split: {weights}.",
        "集成的权重（在验证集上选定）：{weights}。",
    ),
    "differences": ("Paired differences", "配对差异"),
    "of": ("of", "甲"),
    "to": ("minus", "减去"),
    "metric": ("metric", "指标"),
    "difference": ("difference", "差异"),
    "p": ("McNemar p (accuracy)", "McNemar p（准确率）"),
    "labels": ("Labels", "各标签"),
    "label": ("label", "标签"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "f1": ("F1", "F1"),
    "single": ("Scores of each type", "各类型的得分"),
    "macro_precision": ("macro precision", "宏平均精确率"),
    "macro_recall": ("macro recall", "宏平均召回率"),
    "exact_match": ("exact match", "完全匹配"),
    "has_answer_f1": ("F1 with an answer", "有答案的 F1"),
    "has_answer_exact_match": ("exact match with an answer", "有答案的完全匹配"),
    "no_answer_accuracy": ("accuracy without an answer", "无答案的准确率"),
    "bleu": ("BLEU", "BLEU"),
    "chrf": ("chrF", "chrF"),
    "rouge_l": ("ROUGE-L", "ROUGE-L"),
    "rouge1": ("ROUGE-1", "ROUGE-1"),
    "rouge2": ("ROUGE-2", "ROUGE-2"),
    "word_f1": ("word F1", "词 F1"),
    "exact_calls": ("exact calls", "调用完全正确"),
    "calls_f1": ("calls F1", "调用 F1"),
    "bits_per_byte": ("bits per byte", "每字节比特"),
    "perplexity": ("perplexity", "困惑度"),
    "spearman": ("Spearman", "斯皮尔曼相关"),
    "pearson": ("Pearson", "皮尔逊相关"),
    "alignment": ("alignment", "对齐度"),
    "uniformity": ("uniformity", "均匀度"),
    "mrr": ("MRR", "MRR"),
    "support": ("records", "记录数"),
    "confusion": ("Confusion", "混淆矩阵"),
    "true": ("true", "真实"),
    "given": ("given", "给出"),
    "times": ("times", "次数"),
    "confusion_note": (
        "Shade: share of the row; mistakes are drawn stronger. Point at a cell for its numbers.",
        "深浅为占该行的比例；错误画得更深。指向格子可看数字。",
    ),
    "most_confused": ("Most confused", "最易混淆"),
    "calibration": ("Calibration", "校准"),
    "confidence": ("confidence", "置信度"),
    "share_right": ("share right", "正确比例"),
    "calibration_note": (
        "On the diagonal the model is as sure as it is right; below it, it is too sure.",
        "在对角线上，置信度与正确率一致；在其下方则过于自信。",
    ),
    "mistakes": ("The most confident mistakes", "最自信的错误"),
    "worst": ("The answers with the lowest scores", "得分最低的回答"),
    "mistakes_note": (
        "Often these are wrong labels in the data: look at them first.",
        "其中常有数据标注错误：请先看这些。",
    ),
    "no_mistakes": ("No mistakes on this split.", "在此划分上没有错误。"),
    "text": ("text", "文本"),
    "done": ("What was done", "做了什么"),
    "step": ("step", "步骤"),
    "options": ("options", "选项"),
    "seconds": ("seconds", "秒"),
    "memory": ("memory, MB", "内存（MB）"),
    "option": ("option", "选项"),
    "value": ("value", "值"),
    "data": ("Data", "数据"),
    "rules": ("Cleaning rules", "清洗规则"),
    "rule": ("rule", "规则"),
    "changed": ("changed", "修改"),
    "dropped": ("dropped", "丢弃"),
    "fact": ("fact", "项目"),
    "tokenizer": ("Tokenizer", "分词器"),
    "training": ("Training: {step}", "训练：{step}"),
    "loss": ("loss", "损失"),
    "train_loss": ("train", "训练"),
    "valid_loss": ("valid", "验证"),
    "steps": ("steps", "步数"),
    "plan": ("Plan and outcome", "计划与结果"),
    "planned": ("planned", "计划"),
    "actual": ("actual", "实际"),
    "members": ("Members", "成员"),
    "member": ("member", "成员"),
    "whole": ("all together", "整体"),
    "chosen": ("used", "采用"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "fold": ("fold", "折"),
    "way_average": ("{count} models whose answers are averaged.", "{count} 个模型，对它们的答案取平均。"),
    "way_soup": (
        "One network: the mean of the weights of {count} models.",
        "一个网络：{count} 个模型权重的平均。",
    ),
    "way_greedy_soup": (
        "One network: the mean of the weights of those among {count} models that help on the validation split.",
        "一个网络：{count} 个模型中在验证集上有帮助者的权重平均。",
    ),
    "cross_validated": (
        "Cross-validated: each training record was answered by the member that has not learnt from it or from a near "
        "duplicate. {folds} folds; intervals: {confidence} %, {resamples} resamples. These are scores of one member, "
        "taught on about {share} % of the records.",
        "交叉验证：每条训练记录由未学过它及其近似重复的成员回答。共 {folds} 折；区间为 {confidence} %，重采样 {resamples} 次。"
        "这是单个成员的得分，每个成员用约 {share} % 的记录训练。",
    ),
    "reproduce": ("How to reproduce", "如何复现"),
    "hash": ("hash", "哈希"),
    "hashes": ("What went in and came out (SHA-256)", "输入与输出（SHA-256）"),
    "file": ("file", "文件"),
    "all_options": ("All options of {step}", "{step} 的全部选项"),
    "code": (
        "Penjing code {code}, Python {python}, torch {torch}, {platform}",
        "代码 {code}，Python {python}，torch {torch}，{platform}",
    ),
    "more": ("more", "更多"),
    "compressed": ("Compression within a budget", "预算内的压缩"),
    "front": ("Size and loss", "大小与损失"),
    "front_note": (
        "Each point is a model, measured on all valid records; the line joins those that no other beats in both, with their "
        "90 % intervals. Dashed: the budget. Large: the model that was taken.",
        "每个点是一个模型，在全部 valid 记录上测得；连线上的点没有其他模型在两方面都更好，竖线为其 90% 区间。"
        "虚线：预算。大点：所选模型。",
    ),
    "alone": ("Each method alone, unhealed, on some valid records", "单独使用每种方法（未修复，部分 valid 记录）"),
    "on_test": ("The chosen model on the test split", "所选模型在测试集上"),
    "stack": ("what was done", "所做修改"),
    "drop_points": ("points lost", "损失（百分点）"),
    "latency_one": ("one record, ms", "单条（毫秒）"),
    "latency_batch": ("batch of 32, ms", "每批 32 条（毫秒）"),
    "faster": ("times as fast", "提速倍数"),
}


class Words:
    """The words of one language: `words("scores")`."""

    def __init__(self, language: str):
        self.language, self.place = language, 1 if language == "zh" else 0

    def __call__(self, key: str, **values: object) -> str:
        return WORDS[key][self.place].format(**values)

    def name(self, key: str) -> str:
        """A known word, or the key itself in readable form."""
        return WORDS[key][self.place] if key in WORDS else key.replace("_", " ")
