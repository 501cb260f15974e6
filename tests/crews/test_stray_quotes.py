"""No row vanishes because of a quote: all are read, or a note or refusal says where to look."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crews.import_mapping.errors import BadCsv
from crews.import_mapping.profile import Profile, profile_csv

WRITERS = {
    "as needed": {"quoting": csv.QUOTE_MINIMAL},
    "all": {"quoting": csv.QUOTE_ALL},
    "texts": {"quoting": csv.QUOTE_NONNUMERIC},
    "with backslashes": {"quoting": csv.QUOTE_ALL, "doublequote": False, "escapechar": "\\"},
}
WORDS = st.sampled_from(["pipe", "5 in", '5"', '"best"', "a, b", "x;y", "two\nlines", "1.5", ""])
CELLS = st.lists(WORDS, max_size=3).map(" ".join)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=4, max_size=12)
)


def written(rows: list[list[str]], delimiter: str, ends: str, writer: str) -> list[str]:
    """The text of each row of a table, its header first."""
    header = ["id", *("size", "note", "place", "owner")[: len(rows[0])]]
    texts = list[str]()
    for row in [header, *([n, *cells] for n, cells in enumerate(rows))]:
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter, lineterminator=ends, **WRITERS[writer]).writerow(row)  # type: ignore[arg-type]
        texts.append(text.getvalue())
    return texts


def profile(text: str) -> Profile:
    return profile_csv(io.BytesIO(text.encode()))


def read(text: str) -> tuple[int, list[int]]:
    """How many rows were read, and the lines that notes name. Raises BadCsv."""
    found = profile(text)
    told = " ".join(found.notes)
    return found.rows, [int(line) for line in re.findall(r"line (\d+)", told)]


@given(
    TABLES, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.sampled_from([*WRITERS])
)
@settings(deadline=None, max_examples=100)
def test_a_table_of_any_writer_is_read_whole(
    rows: list[list[str]], delimiter: str, ends: str, writer: str
):
    assert profile("".join(written(rows, delimiter, ends, writer))).rows == len(rows)


@given(
    TABLES,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([*WRITERS]),
    st.data(),
)
@settings(deadline=None, max_examples=300)
def test_one_stray_quote_takes_no_row_away_in_silence(
    rows: list[list[str]], delimiter: str, ends: str, writer: str, data: st.DataObject
):
    texts = written(rows, delimiter, ends, writer)
    at = data.draw(st.integers(0, len(texts) - 1))
    place = data.draw(st.integers(0, len(texts[at]) - len(ends)))
    before = "".join(texts[:at]).count("\n")
    within = range(before + 1, before + 1 + texts[at].count("\n"))
    texts[at] = texts[at][:place] + '"' + texts[at][place:]
    try:
        count, told = read("".join(texts))
    except BadCsv as refusal:
        assert re.search(r"line \d+.*quotes", str(refusal))  # noqa: PT017 -- it may be raised
        return
    assert count == len(rows) or set(told) & set(within), (count, told, within)


def inches(cells: dict[int, str], rows: int = 200) -> str:
    lines = (f"{n},pipe,{cells.get(n, 5)},x" for n in range(rows))
    return "id,name,size,note\n" + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        ({10: '"5 in'}, 12),
        ({10: '"5 in', 190: '"5 in'}, 12),
        ({10: '"5 in', 190: '5"'}, 12),  # well-formed: one cell of 180 lines
        (dict.fromkeys(range(200), '"5 in'), 2),
    ],
)
def test_inch_marks_are_read_as_text(cells: dict[int, str], first: int):
    found = profile(inches(cells))
    assert found.rows == 200
    assert any(note.endswith(f"in line {first}") for note in found.notes), found.notes


def test_the_rows_after_a_stray_quote_of_a_large_file_are_read():
    rows = 150_000
    found = profile(inches({10: '"5 in', 70_000: '"two, with a\nline break"'}, rows))
    assert found.rows == pytest.approx(found.bytes_read / found.bytes * rows, rel=0.01)
    assert found.notes[0].endswith("in line 12")


def test_a_cell_of_lines_like_rows_is_told():
    found = profile("id,note,x\n" + "1,a,b\n" * 9 + '2,"one, two\nthree, four",b\n')
    assert found.rows == 10
    assert found.notes == ["1 cells hold lines like rows; check their quotes, in line 11"]


def test_names_of_columns_may_hold_line_breaks():
    found = profile('id,"house\nnumber","city,\ntown"\n' + '1,2,"Ulm, a\nb"\n' * 9)
    assert [column.name for column in found.columns] == ["id", "house\nnumber", "city,\ntown"]
    assert (found.rows, found.notes) == (9, [])
