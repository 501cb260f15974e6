"""The compiler of crews: what people write under `crews/` becomes the JSON that functions read.

Functions read no YAML and import none of a crew's code to know what a crew is. All that is wrong
with a crew is told here, at once, before it is deployed.
"""

from infra.crews.compiler import Compiled, compile_all, parse

__all__ = ["Compiled", "compile_all", "parse"]
