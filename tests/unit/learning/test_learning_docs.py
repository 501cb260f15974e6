"""The example of docs/learning.md runs, and prints what stands beside it."""

import re
from pathlib import Path

import pytest

PAGE = Path("docs/learning.md").read_text("utf-8")


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})  # noqa: S102  # our own page
    said = re.findall(r"print\(.*\)  # (\w+)", code)
    assert capsys.readouterr().out.split() == said
    assert len(said) == 2
