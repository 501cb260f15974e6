"""Benchmarks: `python -m benchmarks.NAME --json`. What the figures mean is told in docs/performance.md.

Every figure stands beside a baseline that was measured in the same run, over the same parts.
"""
