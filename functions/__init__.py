"""Functions: HTTP, a queue or a schedule on one side, `core` on the other.

Each module here is one deployable. What they share is in the packages that begin with `_`. A host that
puts several of them on one port asks first whether a request can be for any (`has_long_target`),
which path it means (`rebased`), and which methods there may be.
"""

from functions._http.edge import METHODS, has_long_target, rebased

__all__ = ["METHODS", "has_long_target", "rebased"]
