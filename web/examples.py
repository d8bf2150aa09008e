"""Examples of bodies, made of their schemas: the members that are required, with values that the schema allows."""

from __future__ import annotations

from typing import Any, Final

TIME: Final = "2026-12-01T12:00:00Z"
TEXT: Final = "text"
ADDRESS: Final = "https://example.com/file"
ADDRESSES: Final = ("location", "url", "uri")
"""Ends of the names of members that are addresses."""
REF: Final = "#/components/schemas/"


def example_of(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """Make an example of a schema; `schemas` are those that it may refer to, `name` is that of the member."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(REF)], schemas, name)
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if choices:
            return example_of(next(one for one in choices if one.get("type") != "null"), schemas, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    return _of_type(schema, schemas, name)


def _of_type(schema: dict[str, Any], schemas: dict[str, Any], name: str) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(one for one in kind if one != "null")
    if kind == "object":
        properties = schema.get("properties", {})
        return {one: example_of(properties[one], schemas, one) for one in schema.get("required", ())}
    if kind == "array":
        items = schema.get("items", {})
        return [example_of(items, schemas, name) for _ in range(schema.get("minItems", 1))]
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind == "boolean":
        return False
    if schema.get("format") == "date-time":
        return TIME
    text = ADDRESS if name.lower().endswith(ADDRESSES) else TEXT
    return text[: schema.get("maxLength")]
