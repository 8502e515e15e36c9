"""Messages about conversations, chat templates and masks."""

from penjing.base.messages.message import Message

MESSAGES = {
    "P-CHAT-001": Message(
        "A conversation is a list of at least one message; this is {given}.",
        "对话应是至少含一条消息的列表；此处是 {given}。",
        'Give a list such as [{{"role": "user", "content": "Hello"}}].',
        '请给出列表，例如 [{{"role": "user", "content": "你好"}}]。',
    ),
    "P-CHAT-002": Message(
        "Message {number} is no table of fields; it is {given}.",
        "第 {number} 条消息不是字段表，而是 {given}。",
        'Write each message as {{"role": "user", "content": "Hello"}}.',
        '每条消息请写成 {{"role": "user", "content": "你好"}}。',
    ),
    "P-CHAT-003": Message(
        "Message {number} has the role {given!r}, which is not known.",
        "第 {number} 条消息的角色 {given!r} 未知。",
        "Use one of the known roles.",
        "请使用已知的角色之一。",
    ),
    "P-CHAT-004": Message(
        "Message {number} lacks this field, or it is of another kind than {kind}.",
        "第 {number} 条消息缺少该字段，或其类型不是 {kind}。",
        "Give the field as {kind}.",
        "请将该字段写成 {kind}。",
    ),
    "P-CHAT-005": Message(
        "The chat template cannot be read: {reason}.",
        "无法读取对话模板：{reason}。",
        "Correct the Jinja text in chat_template.jinja (or chat_template in tokenizer_config.json).",
        "请更正 chat_template.jinja（或 tokenizer_config.json 中的 chat_template）里的 Jinja 文本。",
    ),
    "P-CHAT-006": Message(
        "The chat template tries to leave its sandbox: {reason}.",
        "对话模板试图越出沙箱：{reason}。",
        "Do not trust this template; take one from the model's author, or remove it to use the built-in ChatML.",
        "请勿信任此模板；请从模型作者处获取模板，或删除它以使用内置的 ChatML。",
    ),
    "P-CHAT-007": Message(
        "The chat template was stopped: {reason}.",
        "对话模板已被中止：{reason}。",
        "A template writes one conversation; look for a loop without need, or shorten the messages.",
        "模板只需写出一段对话；请检查多余的循环，或缩短消息。",
    ),
    "P-CHAT-008": Message(
        "The chat template refuses these messages: {reason}",
        "对话模板拒绝这些消息：{reason}",
        "Order the messages as the template wants them.",
        "请按模板的要求排列消息。",
    ),
    "P-CHAT-009": Message(
        "The chat template fails on these messages: {reason}.",
        "对话模板处理这些消息时出错：{reason}。",
        "Give the fields that the template reads, or correct the template.",
        "请提供模板所需的字段，或更正模板。",
    ),
    "P-CHAT-010": Message(
        "The model has no chat template of the name {given!r}.",
        "模型没有名为 {given!r} 的对话模板。",
        "Use one of the known names, or give the Jinja text itself.",
        "请使用已知的名称之一，或直接给出 Jinja 文本。",
    ),
    "P-CHAT-011": Message(
        "The last message cannot be continued: the template does not write its text as it is.",
        "无法续写最后一条消息：模板没有原样写出其文本。",
        "Let the last message be the assistant's, with text that the template keeps.",
        "请让最后一条消息属于助手，且其文本被模板保留。",
    ),
    "P-CHAT-012": Message(
        "It cannot be told which tokens of message {number} are the assistant's: with this template, a conversation does "
        "not begin as its first messages do alone.",
        "无法判断第 {number} 条消息中哪些标记属于助手：在此模板下，整段对话的开头与其前几条消息单独写出时不同。",
        "Put the assistant's text of the template into {{% generation %}} … {{% endgeneration %}}.",
        "请在模板中用 {{% generation %}} … {{% endgeneration %}} 标出助手的文本。",
    ),
    "P-CHAT-013": Message(
        "A chat template cannot be called {given!r}.",
        "对话模板不能命名为 {given!r}。",
        "Use a name of letters, digits, hyphens and underscores.",
        "请使用由字母、数字、连字符和下划线组成的名称。",
    ),
    "P-CHAT-014": Message(
        "Tools are a list of JSON schemas, documents a list of tables; this is {given}.",
        "工具应是 JSON 模式的列表，文档应是字段表的列表；此处是 {given}。",
        'Give tools such as [{{"type": "function", "function": {{"name": "weather", "parameters": {{}}}}}}].',
        '工具请写成 [{{"type": "function", "function": {{"name": "weather", "parameters": {{}}}}}}]。',
    ),
    "P-CHAT-020": Message(
        "The record holds no conversation of a known form; its fields are {given}.",
        "该记录不含任何已知形式的对话；其字段为 {given}。",
        "Give messages, or the fields of one of the known forms; docs/dialogue.md shows each.",
        "请给出 messages，或某种已知形式的字段；docs/dialogue.md 列出了各种形式。",
    ),
    "P-CHAT-021": Message(
        "This field of a conversation is of another kind than {kind}.",
        "对话的该字段类型不是 {kind}。",
        "Give the field as {kind}.",
        "请将该字段写成 {kind}。",
    ),
    "P-CHAT-022": Message(
        "The turn is a function call, and its text is none: {given}.",
        "该轮是函数调用，但其文本并非调用：{given}。",
        'Write it as {{"name": "weather", "arguments": {{"city": "Oslo"}}}}.',
        '请写成 {{"name": "weather", "arguments": {{"city": "Oslo"}}}}。',
    ),
    "P-CHAT-023": Message(
        "The tools are given as a text that is no JSON: {reason}.",
        "工具以文本给出，但不是 JSON：{reason}。",
        "Give a list of JSON schemas, or the same as JSON text.",
        "请给出 JSON 模式的列表，或其 JSON 文本。",
    ),
    "P-CHAT-024": Message(
        "Only some of the assistant's {count} messages carry loss, and the template's {spans} generation blocks do not "
        "tell which text is whose.",
        "助手的 {count} 条消息中只有一部分计入损失，而模板的 {spans} 个 generation 块无法对应到各条消息。",
        "Let the template write one {{% generation %}} block for each of the assistant's messages.",
        "请让模板为助手的每条消息写出一个 {{% generation %}} 块。",
    ),
    "P-CHAT-025": Message(
        "The chat template ends the assistant's turn with no single token, so no answer would ever stop; it writes "
        "…{given!r}.",
        "对话模板没有用单个词元结束助手的回合，回答将永不停止；其写出的是 …{given!r}。",
        "Let the template end the turn with the tokenizer's end token, or make its mark a token (tokenizer: special).",
        "请让模板以分词器的结束词元结束回合，或将其标记设为词元（tokenizer 的 special 选项）。",
    ),
    "P-CHAT-026": Message(
        "ChatML needs the tokens {given}; the tokenizer has none of them, no spare ones, and the network's {rows} rows are "
        "all taken.",
        "ChatML 需要词元 {given}；分词器没有这些词元，也没有备用词元，而网络的 {rows} 行已用尽。",
        "Train the tokenizer with them (tokenizer: special), or take template: plain.",
        "请在训练分词器时加入它们（tokenizer 的 special 选项），或使用 template: plain。",
    ),
    "P-CHAT-027": Message(
        "The conversation holds nothing to learn: no message of the assistant carries loss.",
        "该对话没有可学习的内容：助手没有任何计入损失的消息。",
        "Give the assistant's answer, or drop the record; `weight: 0` takes the loss from a message.",
        "请补上助手的回答，或删除该记录；`weight: 0` 会使消息不计入损失。",
    ),
    "P-CHAT-028": Message(
        "The assistant's message {number} is empty: it would teach to say nothing.",
        "助手的第 {number} 条消息为空：这会教模型什么都不说。",
        "Write the answer, or drop the record (penjing clean with empty=drop).",
        "请写出回答，或删除该记录（penjing clean 的 empty=drop）。",
    ),
}
