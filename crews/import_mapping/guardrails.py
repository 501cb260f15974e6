"""What a mapping must stand up to before it counts: what no JSON Schema can say."""

from collections import Counter
from typing import Any

from crews.import_mapping.target import fields


def fields_of_the_target(output: Any, inputs: dict[str, Any]) -> str | None:
    """Refuse fields that the target does not have, and a second column for one without parts."""
    known = {field.name: field for field in fields(inputs["target"])}
    taken = Counter(entry["field"] for entry in output["columns"] if entry["field"] is not None)
    if strange := [name for name in taken if name not in known]:
        return f"the target has no field {', '.join(strange)}; it has: {', '.join(known)}"
    if twice := [name for name, count in taken.items() if count > 1 and not known[name].parts]:
        return f"only one column may feed {', '.join(twice)}"
    return None
