"""Why a value does not fit a type, as pydantic says it, and in Chinese."""

from __future__ import annotations

from pydantic import ValidationError

from penjing.base.messages.message import Both

CHINESE = {  # pydantic's name of the complaint: our words
    "greater_than": "必须大于 {gt}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than": "必须小于 {lt}",
    "less_than_equal": "不能大于 {le}",
    "literal_error": "应为 {expected} 之一",
    "int_parsing": "不是整数",
    "int_type": "不是整数",
    "int_from_float": "不是整数",
    "float_parsing": "不是数",
    "float_type": "不是数",
    "finite_number": "必须是有限的数",
    "bool_parsing": "应为 true 或 false",
    "bool_type": "应为 true 或 false",
    "string_type": "应为文本",
    "list_type": "应为列表",
    "tuple_type": "应为列表",
    "dict_type": "应为带名称的值",
    "path_type": "应为路径",
    "too_short": "至少需要 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "dataclass_type": "应为带名称的值",
    "unexpected_keyword_argument": "没有这个名称",
}


def reason(error: ValidationError) -> Both:
    """The first complaint, without the stop at its end; a kind that has no Chinese here stays as it is."""
    first = error.errors()[0]
    chinese = CHINESE.get(first["type"], first["msg"]).format(**first.get("ctx", {})).replace(" or ", " 或 ")
    return Both(first["msg"], chinese)
