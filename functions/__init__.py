"""Functions: HTTP, a queue or a schedule on one side, `core` on the other.

Each module here is one deployable. What they share is in the packages that begin with `_`. A host that
puts several of them on one port asks `rebased` first which path a request means.
"""

from functions._http.edge import rebased

__all__ = ["rebased"]
