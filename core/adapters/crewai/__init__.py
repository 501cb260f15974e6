"""CrewAI behind the port `CrewRunner`.

This file imports nothing: `environ` must run before the library is imported, and importing the
library takes seconds, which only a worker should pay.
"""
