"""The words of each rule in both languages: what it recommends, `{name}` filled by the rule."""

from __future__ import annotations

from penjing.recipe.advice_text import Text

WORDS: dict[str, Text] = {
    "few_shots": Text(
        "Show the checkpoint a few examples in its prompt; nothing is trained. The n-grams are measured beside it.",
        "在提示中给检查点看几个示例，不训练；同时测量 n-gram。",
    ),
    "only_prompts": Text(
        "No training: the step fewshot measures 0, 1, 2, 4 and 8 examples in a prompt.",
        "无需训练：fewshot 步骤会测量提示中 0、1、2、4、8 个示例的效果。",
    ),
    "nothing_learnt": Text(
        "Nothing is learnt here; but choose template and examples on valid, since choosing on test overfits too.",
        "此处不学习；但模板和示例须用验证集选择，用测试集选也会过拟合。",
    ),
    "in_the_prompt": Text(
        "A prompt holds the examples and the text: long texts leave room for few examples.",
        "提示须同时容纳示例和文本：文本长则示例少。",
    ),
    "part_of_checkpoint": Text(
        "Train LoRA adapters on the checkpoint, not the whole of it.",
        "在该检查点上训练 LoRA 适配器，而不训练全部参数。",
    ),
    "head_of_checkpoint": Text(
        "Train only a head on the frozen checkpoint: so few records would bend the whole of it.",
        "冻结检查点，只训练输出层：记录太少，不宜改动全部参数。",
    ),
    "vectors_of_checkpoint": Text(
        "Measure the checkpoint as it is, then teach it briefly at a low rate.",
        "先直接测量该检查点，再以低学习率短暂微调。",
    ),
    "reading_on": Text(
        "Go on pre-training the checkpoint on your text.",
        "在您的文本上继续预训练该检查点。",
    ),
    "whole_checkpoint": Text(
        "Fine-tune the checkpoint; the classical models are fitted beside it.",
        "微调该检查点；同时拟合经典模型作对照。",
    ),
    "better_answers": Text(
        "DPO on the checkpoint, which answers already: pairs say which answer is better, and it stays near what it was.",
        "对已会回答的检查点做 DPO：成对的数据指出哪个回答更好，且模型不会远离原样。",
    ),
    "better_answers_anew": Text(
        "ORPO: it learns to answer and which answer is better at once, and needs no model that answers already.",
        "用 ORPO：同时学会回答和辨别哪个更好，不需要已会回答的模型。",
    ),
    "good_answers": Text(
        "KTO: each answer is judged by itself, so there are no pairs that DPO could learn from.",
        "用 KTO：每个回答单独评价，没有 DPO 所需的成对数据。",
    ),
    "judge": Text(
        "A reward model: one score for an answer, learnt from which of two is better; reinforce can use it.",
        "奖励模型：从哪个更好的比较中学会给回答打分；可供 reinforce 使用。",
    ),
    "checked_answers": Text(
        "GRPO with the reward {reward}: answers are checked, so none need be written. It must be right now and then already.",
        "用 GRPO，奖励为 {reward}：回答可以检验，不必写出范例。模型须已偶尔答对。",
    ),
    "examples_first": Text(
        "Examples first, then GRPO with the reward {reward}: a fresh network is never right by chance.",
        "先从范例学，再用 GRPO，奖励为 {reward}：全新的网络不会碰巧答对。",
    ),
    "rounds_of_answers": Text(
        "{steps} steps of {prompts} prompts, {group} answers each of {max_new_tokens} tokens; about {total} min, estimated.",
        "{steps} 步，每步 {prompts} 个提示，各答 {group} 次，每次最多 {max_new_tokens} 个词元；约 {total} 分钟（估计）。",
    ),
    "longer_answers": Text(
        "The longer answer wins too often: it may learn length alone. Compare with preference_linear; try method simpo.",
        "较长的回答胜得太多：可能只学到长度。请与 preference_linear 比较，并试 simpo。",
    ),
    "slow_preference": Text(
        "A low rate and few epochs: where log_probability_chosen falls far in log.jsonl, stop earlier.",
        "学习率低，轮数少：若 log.jsonl 中 log_probability_chosen 大幅下降，就早些停。",
    ),
    "watched_rewards": Text(
        "Read rollouts.jsonl: it finds what the reward forgot. A growing kl with a standing reward: stop, or raise kl.",
        "查看 rollouts.jsonl：它会钻奖励的空子。kl 上升而奖励不动：停下，或提高 kl。",
    ),
    "both_judgements": Text(
        "Good and bad answers count alike in sum: {told}.",
        "好坏回答的总权重相当：{told}。",
    ),
    "room_in_rounds": Text(
        "Prompt and {most} tokens of answer must fit in the window; longer prompts are refused, with their lines.",
        "提示加 {most} 个词元的回答须放得进窗口；更长的提示会被拒绝并指出行号。",
    ),
    "valid_by_hand": Text(
        "Put some hundred prompts into valid.jsonl: the best weights are chosen on them, and no step splits them off.",
        "请把数百个提示放进 valid.jsonl：用它选最好的权重，没有步骤代为划分。",
    ),
    "measured_change": Text(
        "{way}, with {trained} trained parameters at the rate {rate:g} in its trial: not clearly below the best that fits here.",
        "{way}，试验中训练 {trained} 个参数，学习率 {rate:g}：与本机可用的最好方式无明显差距。",
    ),
    "low_rank_of_checkpoint": Text(
        "LoRA adapters of rank 8: the checkpoint without them is the reference, with no second copy in memory.",
        "秩为 8 的 LoRA 适配器：去掉它就是参照模型，内存中不需第二份。",
    ),
    "all_of_checkpoint": Text(
        "All of it: the machine can hold it, and nothing was measured that speaks for less.",
        "全部参数：内存够，且没有实测表明只训练一部分更好。",
    ),
    "no_time": Text(
        "Only the classical baseline: a network needs more minutes. The recipe fits both.",
        "只用经典基线：训练网络需要更多时间。配方会同时拟合两者。",
    ),
    "few_labels": Text(
        "The classical baseline, until there are more labels; or show a few to a generative model.",
        "标签太少，先用经典基线；或把少量示例交给生成模型。",
    ),
    "long_reviews": Text(
        "n-grams first: on long texts they won. A network from scratch beside them: together best.",
        "先用 n-gram：长文本上它更好；再从零训练一个网络，两者合用最好。",
    ),
    "labelled_texts": Text(
        "A network from scratch, pre-trained on your own text; expect it near the n-grams.",
        "从零训练网络，先在您自己的文本上预训练；预计与 n-gram 相近。",
    ),
    "numbers": Text(
        "A network from scratch, pre-trained on your own text, beside ridge regression on n-grams.",
        "从零训练网络，先在您自己的文本上预训练；以 n-gram 岭回归为对照。",
    ),
    "tagged_texts": Text(
        "A linear-chain CRF first: hard to beat from scratch. Beside it an LSTM with a CRF.",
        "先用线性链 CRF：从零训练很难超过它；同时训练带 CRF 的 LSTM。",
    ),
    "contexts": Text(
        "Find a pre-trained encoder: from scratch this task learns little.",
        "请先找一个预训练编码器：从零训练此任务效果很差。",
    ),
    "vectors": Text(
        "Find a pre-trained sentence encoder; from scratch, hold it against TF-IDF.",
        "请先找一个预训练句向量模型；从零训练则须与 TF-IDF 比较。",
    ),
    "repeated_answers": Text(
        "A small decoder from scratch: the answers recur, so they can be learnt exactly.",
        "从零训练小型解码器：回答反复出现，可以准确学会。",
    ),
    "talks": Text(
        "From scratch it learns how to answer, not what is true: prefer a pre-trained decoder.",
        "从零训练只能学会怎样回答，学不会事实：最好用预训练解码器。",
    ),
    "two_sides": Text(
        "An encoder-decoder from scratch on the pairs themselves.",
        "直接在这些文本对上从零训练编码器—解码器。",
    ),
    "little_text": Text(
        "Find more text: with so little an n-gram model is the measure, and hard to beat.",
        "请收集更多文本：这么少的文本很难超过 n-gram 模型。",
    ),
    "raw_text": Text(
        "Pre-train a network from scratch; n-grams on the same text are the measure.",
        "从零预训练网络；以同样文本上的 n-gram 为对照。",
    ),
    "cannot_do_it": Text(
        "Not the one you gave: its family cannot be taught this task.",
        "不用您给出的检查点：它的架构不能学习此任务。",
    ),
    "foreign_words": Text(
        "Not the one you gave: its vocabulary does not know your texts.",
        "不用您给出的检查点：它的词表不认识您的文本。",
    ),
    "too_large": Text(
        "Not the one you gave: it cannot be trained in this memory. Take a smaller one.",
        "不用您给出的检查点：本机内存不够训练它，请换更小的。",
    ),
    "at_hand": Text(
        "The one you gave: its vocabulary knows your texts and the machine can hold it.",
        "就用您给出的检查点：词表认识您的文本，内存也够。",
    ),
    "public": Text(
        "None was given. If one from outside is allowed, try {name}.",
        "未给出。若可用外部模型，请试 {name}。",
    ),
    "own_network": Text(
        "The checkpoint's own: {family}.",
        "检查点自身的网络：{family}。",
    ),
    "tagger": Text(
        "An LSTM of 2 layers, width {width}: near words decide about names.",
        "2 层 LSTM，宽度 {width}：名称由邻近的词决定。",
    ),
    "near_decoder": Text(
        "A decoder with ALiBi (bloom), 4 layers, width 192: on little text it learnt most.",
        "带 ALiBi 的解码器（bloom），4 层，宽度 192：文本少时它学得最多。",
    ),
    "decoder": Text(
        "A Llama of 4 layers, width 256; it opens everywhere.",
        "Llama，4 层，宽度 256；各处都能打开。",
    ),
    "encoder_decoder": Text(
        "Marian (encoder and decoder), {layers} layers each, width {width}.",
        "Marian（编码器与解码器），各 {layers} 层，宽度 {width}。",
    ),
    "encoder": Text(
        "ModernBERT's layout, 2 layers, width {width}: small and fast.",
        "ModernBERT 结构，2 层，宽度 {width}：小而快。",
    ),
    "own_tokenizer": Text(
        "The checkpoint's own.",
        "检查点自带的分词器。",
    ),
    "bytes_of_verse": Text(
        "Byte-level BPE of 1,024: each token is seen often.",
        "字节级 BPE，1,024 个词元：每个词元都常见。",
    ),
    "fresh_tokenizer": Text(
        "A {kind} of {size:,} tokens trained on your text: small for little text.",
        "在您的文本上训练 {kind}，{size:,} 个词元：文本少则词表小。",
    ),
    "already_learnt": Text(
        "None: the checkpoint has read much more. Only with much raw text go on with it first.",
        "无需预训练：检查点已读过更多文本；只有原始文本很多时才继续预训练。",
    ),
    "nothing_before": Text(
        "None in this recipe: the records are learnt from at once.",
        "此配方不做预训练：直接从记录学习。",
    ),
    "next_token": Text(
        "The next token (causal): what a writer does later.",
        "预测下一个词元（causal）：与日后写作一致。",
    ),
    "hidden_words": Text(
        "Hidden words (masked, a fifth): names are learnt from what stands around them.",
        "掩码预测（遮住五分之一）：从上下文学习名称。",
    ),
    "hidden_tokens": Text(
        "Hidden tokens (masked), {rate:.0%} of them: little text teaches more by a higher share.",
        "掩码预测，遮住 {rate:.0%}：文本少时比例宜高。",
    ),
    "from_checkpoint": Text(
        "{step} {told}, rate {rate:g}: what was learnt before must not be washed away.",
        "{step} {told}，学习率 {rate:g}：不要冲掉已学到的知识。",
    ),
    "granted_minutes": Text(
        "Minutes: {parts}; the rest is for data, baselines and measuring.",
        "分钟：{parts}；其余用于数据、基线和评估。",
    ),
    "by_epochs": Text(
        "{parts}: few records are seen often. With --minutes the time decides.",
        "{parts}：记录少则多看几遍。给出 --minutes 则由时间决定。",
    ),
    "few_epochs": Text(
        "Few epochs, the best of several validations kept, a low rate; no more than that at first.",
        "轮数少，保留验证最好的权重，学习率低；先这样即可。",
    ),
    "seen_once": Text(
        "Nothing: in this time so much text is hardly read twice. Keep the best validation.",
        "无需措施：文本很多，几乎不会读第二遍。保留验证最好的权重即可。",
    ),
    "drop_much": Text(
        "Dropout 0.2, weight decay 0.1, and the best of the validations.",
        "dropout 0.2，权重衰减 0.1，并保留验证最好的权重。",
    ),
    "drop_of_tags": Text(
        "Dropout {drop}, a tenth of the pieces hidden, a mean of the last weights.",
        "dropout {drop}，随机遮住一成词元，取最后权重的均值。",
    ),
    "drop_of_pairs": Text(
        "Dropout {drop}, label smoothing 0.1, a mean of the last weights.",
        "dropout {drop}，标签平滑 0.1，取最后权重的均值。",
    ),
    "drop_of_labels": Text(
        "A tenth of the tokens hidden in training, dropout 0.1; n-grams together with the network.",
        "训练时随机遮住一成词元，dropout 0.1；网络与 n-gram 合用。",
    ),
    "best_validation": Text(
        "Keep the best of the validations, as the recipe does; a smaller network if it still overfits.",
        "保留验证最好的权重（配方已如此）；仍过拟合则换更小的网络。",
    ),
    "several_labels": Text(
        "Several labels at once; judge by F1, not by exact matches.",
        "一条文本可有多个标签；看 F1，不看完全匹配。",
    ),
    "lonely_labels": Text(
        "Merge the rarest labels or collect more of them: so few can be neither learnt nor measured.",
        "合并或补充最少的标签：这么少既学不会也测不准。",
    ),
    "heavy_labels": Text(
        "Rare labels weigh more (balanced); judge by F1, since accuracy hides them.",
        "稀有标签加权（balanced）；看 F1，准确率会掩盖它们。",
    ),
    "uneven_labels": Text(
        "No weights; judge by F1, since accuracy hides rare labels.",
        "不加权；看 F1，准确率会掩盖稀有标签。",
    ),
    "even_labels": Text(
        "Nothing to do: every label is seen often enough.",
        "无需处理：每个标签都足够常见。",
    ),
    "more_labels": Text(
        "No: more labelled records would help most; each doubling brings points.",
        "不够：增加标注最有效，每翻一倍都会提高。",
    ),
    "enough_labels": Text(
        "For n-grams yes: twice the records bring little. Look at mistakes and wrong labels instead.",
        "对 n-gram 已够：翻倍收益很小。不如检查错误和错标。",
    ),
    "unknown_amount": Text(
        "Not measured: the curve is for 40 texts with labels or more, and not with --no-measure. Train on half and compare.",
        "未测量：学习曲线只用于 40 条以上的分类文本，且不能用 --no-measure。可用一半数据训练后比较。",
    ),
    "window_of_checkpoint": Text(
        "Read {window} tokens at once; what is longer is read as the task does it.",
        "一次读 {window} 个词元；更长的按任务的方式处理。",
    ),
    "overlapping": Text(
        "Nothing is lost: longer texts are read in overlapping windows of {most} tokens.",
        "不会丢失：长文本用 {most} 个词元的重叠窗口读取。",
    ),
    "short_pieces": Text(
        "Pieces of {most} tokens, cut anew each epoch: a small network looks no further.",
        "切成 {most} 个词元的片段，每轮重新切：小网络看不了更远。",
    ),
    "whole_answers": Text(
        "Room for {most} tokens; longer ones are cut, and the step says how many.",
        "留出 {most} 个词元；更长的会截断，并告知数量。",
    ),
    "both_ends": Text(
        "Read beginning and end (head_tail), 512 tokens; n-grams and long_text: windows read all.",
        "读开头和结尾（head_tail），共 512 个词元；n-gram 与 long_text: windows 读全文。",
    ),
    "all_of_it": Text(
        "Room for {most} tokens: little or nothing is lost.",
        "留出 {most} 个词元：几乎不丢失。",
    ),
    "contradictions": Text(
        "Correct the labels of equal texts first: no model can learn both.",
        "先纠正相同文本的不同标签：没有模型能两者都学会。",
    ),
    "split_by_hand": Text(
        "Put a tenth into test.jsonl, and one into valid.jsonl, whole articles: no step splits these.",
        "请分出一成到 test.jsonl、一成到 valid.jsonl，整篇划分：没有步骤代为划分。",
    ),
    "split_off": Text(
        "The recipe splits off a tenth each, near duplicates kept together.",
        "配方各分出一成，近似重复的文本不拆开。",
    ),
    "held_back": Text(
        "A hundredth of the documents is kept for validation; a file test.* would be measured too.",
        "保留百分之一的文档作验证；若有 test.* 文件也会评估。",
    ),
    "as_split": Text(
        "As your files have them; training texts that stand in valid or test are dropped or told.",
        "按您的文件划分；训练集中与验证集或测试集相同的文本会删除或告知。",
    ),
}
