"""What advice rests on: sections of docs/results.md, papers, or nothing yet. A test holds every figure against its section."""

from __future__ import annotations

from dataclasses import dataclass

from penjing.recipe.advice_text import Text


@dataclass(frozen=True)
class Evidence:
    """Where it is known from. `section` of docs/results.md, whose title holds `title`: figures in `text` stand there."""

    text: Text
    section: int | None = None
    title: str = ""


UNMEASURED = Evidence(Text("unmeasured: a place to begin", "未经实测：仅作起点"))
NOW = Evidence(Text("measured just now on your data", "刚刚在您的数据上测得"))
COUNTED = Evidence(Text("counted in your data", "由您的数据统计得出"))


def measured(section: int, title: str, en: str, zh: str) -> Evidence:
    """What stands in a section of docs/results.md."""
    place = Text(f"docs/results.md, section {section}: {en}", f"docs/results.md 第 {section} 节：{zh}")
    return Evidence(place, section, title)


def paper(name: str) -> Evidence:
    """What others found and nobody has measured here."""
    return Evidence(Text(f"{name}; unmeasured here", f"{name}；本项目未实测"))


SHORTEST = measured(13, "Tasks", "the smallest recipe takes 2 min 47 s", "最小的配方用时 2 min 47 s")
FILM = measured(2, "Film reviews", "n-grams 0.9192, network 0.9029, both together 0.9230",
                "n-gram 0.9192，网络 0.9029，两者合用 0.9230")  # fmt: skip
SHOP = measured(3, "Chinese shop", "n-grams 0.9358, network 0.9315, both together 0.9391",
                "n-gram 0.9358，网络 0.9315，两者合用 0.9391")  # fmt: skip
VERSE = measured(12, "Verse", "bits per byte: LSTM 2.058, ALiBi 2.049, rotary positions 2.158",
                 "每字节比特数：LSTM 2.058，ALiBi 2.049，旋转位置 2.158")  # fmt: skip
LIKENESS = measured(13, "Tasks", "STS-B: all-MiniLM-L6-v2 0.820, 50 steps later 0.826, TF-IDF 0.704",
                    "STS-B：all-MiniLM-L6-v2 0.820，50 步后 0.826，TF-IDF 0.704")  # fmt: skip
NAMES = measured(13, "Tasks", "CoNLL-2003: the linear-chain CRF has F1 0.832", "CoNLL-2003：线性链 CRF 的 F1 为 0.832")
INTENTS = measured(13, "Tasks", "customer intents: a small decoder beats retrieval", "客服意图：小型解码器胜过检索")
HOURS = measured(2, "Film reviews", "of 59 min 32 s pre-training took 38 min 19 s, fine-tuning 16 min 56 s",
                 "全程 59 min 32 s，其中预训练 38 min 19 s，微调 16 min 56 s")  # fmt: skip
DROPOUT = measured(12, "Verse", "rotary positions: 2.158 with dropout 0.1; 2.200 with none and smaller batches",
                   "旋转位置：dropout 0.1 为 2.158；不用 dropout 且批更小为 2.200")  # fmt: skip
PIECES = measured(
    12, "Verse", "pieces of 128 tokens; 256 was tried and stopped early", "片段长 128 个词元；256 试过后提前停止"
)
WEIGHTS = measured(13, "Tasks", "SMS spam: F1 0.947 with weights, 0.948 without, in other numbers of epochs",
                   "垃圾短信：加权 F1 0.947，不加权 0.948（轮数不同）")  # fmt: skip
PREFERRED = measured(16, "Rewards and preferences", "DPO by LoRA found the margins that theory wants, perplexity at most +0.06 %",
                     "用 LoRA 做 DPO 得到理论上的间隔，困惑度至多 +0.06 %")  # fmt: skip
TAUGHT_SUMS = measured(16, "Rewards and preferences", "GRPO, 32 questions of 16 answers a step: exact sums from 12.8 % to 92.2 %",
                       "GRPO，每步 32 题、每题 16 个回答：算对的从 12.8 % 到 92.2 %")  # fmt: skip


# ---- the ways to train part of an encoder: `python benchmarks/changes_table.py` prints the lines for TRIALS ----


@dataclass(frozen=True)
class Trial:
    """What one way to train came to, on the same records as the others."""

    way: str  # a name of WAYS
    trained: int  # parameters
    minutes: float
    memory: int  # MB, at its highest
    score: float  # accuracy on test, mean over seeds
    half: float  # of its interval
    rate: float  # its learning rate

    def cells(self) -> tuple[str, ...]:
        """How the figures stand in the table of docs/results.md."""
        return (self.way, f"{self.trained:,}", f"{self.minutes:.2f} min", f"{self.memory:,} MB",
                f"{self.score:.4f} ± {self.half:.4f}")  # fmt: skip


WAYS: dict[str, object] = {  # way: what `finetune` is told to change; None: nothing, all weights are trained
    "full": None,
    "freeze, top 2 blocks": {"freeze": {"top": 2}},
    "head alone": {"freeze": {"top": 0}},
    "lora": {"lora": {"rank": 8}},
    "adapter": {"adapter": {"kind": "houlsby"}},
    "prefix": {"prefix": {"length": 16}},
    "prompt": {"prompt": {"length": 16}},
    "ia3": "ia3",
    "bitfit": "bitfit",
}
TRIED_RECORDS, TRIED_EPOCHS = 2000, 3  # of each trial
TRIALS_IN = (19, "Changes")  # the section of docs/results.md with the table, and a word of its title
TRIALS: tuple[Trial, ...] = (
    Trial("full", 22713986, 1.32, 1296, 0.8495, 0.0095, 0.0003),
    Trial("freeze, top 2 blocks", 3697538, 0.73, 837, 0.838, 0.0348, 0.0009),
    Trial("head alone", 148610, 0.54, 780, 0.7218, 0.0099, 0.001),
    Trial("lora", 222338, 0.97, 1018, 0.8468, 0.0142, 0.003),
    Trial("adapter", 374690, 0.91, 1039, 0.8464, 0.0088, 0.003),
    Trial("prefix", 222338, 0.92, 1119, 0.8019, 0.0414, 0.03),
    Trial("prompt", 154754, 1.38, 1278, 0.7604, 0.0245, 0.01),
    Trial("ia3", 162434, 0.89, 1082, 0.8472, 0.0229, 0.03),
    Trial("bitfit", 174338, 0.88, 931, 0.8312, 0.0566, 0.009),
)


def tried(chosen: Trial, beside: Trial) -> Evidence:
    """The chosen way beside another of the same table."""
    said = "; ".join(", ".join(one.cells()) for one in dict.fromkeys((chosen, beside)))
    return measured(*TRIALS_IN, f"SST-2, MiniLM: {said}", f"SST-2，MiniLM：{said}")
