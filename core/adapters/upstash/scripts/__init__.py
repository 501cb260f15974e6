"""The scripts: what each takes is the signature of its function here (calls.py says how).

`texts`, `events` and replies are told in the scripts' first lines.
"""
