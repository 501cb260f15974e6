"""The runtime of functions that stream on AWS Lambda: what an app sends is handed on at once.

`runtime_api` is a client of Lambda's Runtime API, `hosting` runs an ASGI app behind it, and `start`, in
the bundle, has Lambda start both instead of its own client, which hands an answer on when it is complete.
"""
