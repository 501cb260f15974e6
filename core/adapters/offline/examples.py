"""An answer that fits a JSON Schema, where the offline model knows nothing better to say."""

from collections.abc import Mapping
from typing import Any, cast

_PLAIN: dict[str, Any] = {"boolean": False, "null": None}


def example(schema: Any, text: str) -> Any:
    """Return a small value that fits most schemas; its strings hold `text`.

    What needs more than a value here and there does not fit: patterns, formats, `allOf`, references.
    """
    return _example(cast("Mapping[str, Any]", schema), text) if isinstance(schema, dict) else text


def _example(schema: Mapping[str, Any], text: str) -> Any:
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    for word in ("enum", "examples"):
        if schema.get(word):
            return schema[word][0]
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return example(schema[word][0], text)
    return _of_type(_type(schema), schema, text)


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type", "object" if "properties" in schema else "string")
    return named if isinstance(named, str) else named[0]


def _of_type(kind: str, schema: Mapping[str, Any], text: str) -> Any:
    match kind:
        case "object":
            properties: Mapping[str, Any] = schema.get("properties", {})
            names = {*schema.get("required", ()), *properties}
            return {name: example(properties.get(name), text) for name in sorted(names)}
        case "array":
            return [example(schema.get("items"), text)] * max(1, schema.get("minItems", 1))
        case "integer" | "number":
            least = schema.get("minimum", 0)
            return min(max(0, least), schema.get("maximum", max(0, least)))
        case "string":
            return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]
        case _:
            return _PLAIN.get(kind)
