"""Invokes one Lambda handler several times, as a warm process does; prints an answer a line.

`python -m tests.handler_process MODULE EVENT_JSON TIMES`
"""

import importlib
import json
import sys

from tests.e2e.apps import LambdaContext

if __name__ == "__main__":
    module, event, times = sys.argv[1:]
    handler = importlib.import_module(module).handler
    for _ in range(int(times)):
        print(json.dumps(handler(json.loads(event), LambdaContext(seconds=300))), flush=True)
