"""One conversation in every form that is known, and what each teaches. Written for the tests."""

import json

TOOL = {
    "name": "weather",
    "description": "now",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"name": "weather", "arguments": {"city": "北京"}}
WRITTEN = '<tool_call>{"name": "weather", "arguments": {"city": "北京"}}</tool_call>'
QUESTION, ANSWER = "Is it cold? <b>&", "Yes.\n零下三度 ❄️"

FORMS = {  # name: (record, form, the answers)
    "messages": (
        {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER},
                      {"role": "user", "content": "ok"}, {"role": "assistant", "content": "Bye."}]},
        "messages", [ANSWER, "Bye."],
    ),
    "system": (
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION},
                      {"role": "assistant", "content": ANSWER}]},
        "messages", [ANSWER],
    ),
    "calls": (
        {"messages": [{"role": "user", "content": QUESTION},
                      {"role": "assistant", "content": None, "tool_calls": [
                          {"id": "1", "type": "function", "function": CALL | {"arguments": json.dumps(CALL["arguments"])}}]},
                      {"role": "tool", "tool_call_id": "1", "content": "-3"}, {"role": "assistant", "content": ANSWER}],
         "tools": [{"type": "function", "function": TOOL}]},
        "messages", [WRITTEN, ANSWER],
    ),
    "old calls": (
        {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": None, "function_call": CALL},
                      {"role": "function", "name": "weather", "content": {"celsius": -3}},
                      {"role": "assistant", "content": ANSWER}], "functions": [TOOL]},
        "messages", [WRITTEN, ANSWER],
    ),
    "parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]},
                      {"role": "assistant", "content": [
                          {"type": "text", "text": "Yes.\n"}, {"type": "text", "text": "零下三度 ❄️"}]}]},
        "messages", [ANSWER],
    ),
    "weights": (
        {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "No.", "weight": 0},
                      {"role": "user", "content": "sure?"}, {"role": "assistant", "content": ANSWER, "weight": 1}]},
        "messages", [ANSWER],
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": ANSWER}], "system": "Be brief."},
        "sharegpt", [ANSWER],
    ),
    "sharegpt calls": (
        {"conversations": [{"from": "human", "value": QUESTION}, {"from": "function_call", "value": json.dumps(CALL)},
                           {"from": "observation", "value": "-3"}, {"from": "gpt", "value": ANSWER}],
         "tools": json.dumps([TOOL])},
        "sharegpt", [WRITTEN, ANSWER],
    ),
    "sharegpt that begins": (
        {"conversation": [{"from": "gpt", "value": "Welcome."}, {"from": "human", "value": QUESTION},
                          {"from": "gpt", "value": ANSWER}]},
        "sharegpt", ["Welcome.", ANSWER],
    ),
    "alpaca": ({"instruction": QUESTION, "input": "", "output": ANSWER}, "alpaca", [ANSWER]),
    "alpaca with more": (
        {"instruction": QUESTION, "input": "In Beijing.", "output": ANSWER, "history": [["Hi", "Hello"]], "system": "Be brief."},
        "alpaca", ["Hello", ANSWER],
    ),
    "prompt": ({"prompt": QUESTION, "completion": ANSWER}, "pair", [ANSWER]),
    "prompt of messages": (
        {"prompt": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                    {"role": "user", "content": QUESTION}], "completion": [{"role": "assistant", "content": ANSWER}]},
        "pair", [ANSWER],
    ),
    "question": ({"question": QUESTION, "answer": ANSWER}, "pair", [ANSWER]),
    "query": ({"query": QUESTION, "response": ANSWER}, "pair", [ANSWER]),
}  # fmt: skip
