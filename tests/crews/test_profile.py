"""Profiling reads what people really upload, and says in one sentence what it cannot read."""

import codecs
import io
import tracemalloc
from pathlib import Path

import pytest

from crews.import_mapping.errors import BadCsv
from crews.import_mapping.profile import DISTINCT_LIMIT, SAMPLE_ROWS, ColumnProfile, profile_csv
from crews.import_mapping.sample import READ_BYTES

EXAMPLES = Path(__file__).parents[2] / "crews" / "import_mapping" / "examples"
JAPANESE = "大字・町丁目名,緯度\n神戸市中央区加納町,34.69\n北野町,34.70\n"
FRENCH = "numero;nom_voie;commune\n3;Rue de l'Église;Besançon\n4;Allée des Érables;Saint-Étienne\n"
ICELANDIC = (EXAMPLES / "is_stadfang.dsv").read_text("utf-8")
SHORT = {"住所,緯度\n神戸市,34.6\n": "cp932", "street,city\nMain,Montréal\n": "cp1252"}


def profile(text: str, encoding: str = "utf-8"):
    return profile_csv(io.BytesIO(text.encode(encoding)))


def column(text: str, name: str) -> ColumnProfile:
    return next(column for column in profile(text).columns if column.name == name)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*sv")))
def test_every_example_is_read_whole(name: str):
    lines = (EXAMPLES / name).read_text("utf-8").rstrip("\n").count("\n")
    with (EXAMPLES / name).open("rb") as stream:
        found = profile_csv(stream)
    assert found.rows == lines
    assert len(found.columns) >= 10


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        (JAPANESE, "cp932", "cp932"),
        (JAPANESE, "utf-8", "utf-8"),
        (JAPANESE, "utf-8-sig", "utf-8-sig"),
        (JAPANESE, "utf-16", "utf-16"),
        (JAPANESE, "utf-32", "utf-32"),
        (FRENCH, "utf-16-le", "utf-16-le"),
        (FRENCH, "utf-16-be", "utf-16-be"),
        (FRENCH, "utf-32-le", "utf-32-le"),
        (FRENCH, "utf-32-be", "utf-32-be"),
        ("ｶﾅ,ﾁﾖｳ\nﾄｳｷﾖｳﾄ,ﾁﾖﾀﾞｸ\n", "cp932", "cp932"),
        (FRENCH, "latin-1", "cp1252"),
        (ICELANDIC, "latin-1", "cp1252"),
        *((text, encoding, encoding) for text, encoding in SHORT.items()),
    ],
)
def test_the_encoding_is_told_and_the_text_comes_out_whole(text: str, encoding: str, named: str):
    found = profile(text, encoding)
    assert found.encoding == named
    assert [c.name for c in found.columns] == [c.name for c in profile(text).columns]
    assert [c.samples for c in found.columns] == [c.samples for c in profile(text).columns]


def test_one_latin_1_letter_after_a_megabyte_of_ascii_is_noticed():
    data = b"street,city\n" + b"Main Street,Springfield\n" * 60_000 + b"Rue,Montr\xe9al\n"
    assert profile_csv(io.BytesIO(data)).encoding == "cp1252"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "~"])
def test_any_delimiter_is_found(delimiter: str):
    rows = [["id", "street", "city"], ["1", "Main St", "Berkeley"], ["2", "Oak Ave", "Albany"]]
    found = profile("\n".join(delimiter.join(row) for row in rows))
    assert found.delimiter == delimiter
    assert [c.name for c in found.columns] == rows[0]


def test_quoted_delimiters_and_line_breaks_stay_in_their_cell():
    assert column('a,b\n"1,5","x\ny"\n"2,5",z\n', "b").samples == ["x\ny", "z"]


def test_what_a_spreadsheet_did_to_codes_is_told():
    found = profile("id,zip,n\n1.23E+17,01234,0\n1.24E+17,94704,10\n")
    assert found.notes == [
        "column 'id' has 2 numbers like 1.23E+17, whose last digits are lost",
        "column 'zip' has 1 codes that begin with a zero; import it as text",
    ]


def test_words_and_dates_are_no_numbers():
    assert column("d,x\n10.11.2008,a\n12A,b\n", "d").numeric_share == 0


def test_shares_counts_and_frequent_values_are_of_the_whole_file():
    found = column("u,x\n,1\nA,2\nA,3\nBB,4\n", "u")
    assert (found.empty_share, found.distinct, found.length) == (0.25, 2, (1, 2))
    assert found.frequent == [("A", 2), ("BB", 1)]


def test_samples_of_all_columns_come_from_the_same_rows():
    text = "a,b\n" + "".join(f"{n},{n * 2}\n" for n in range(1_000))
    first, second = (c.samples for c in profile(text).columns)
    assert len(first) == SAMPLE_ROWS
    assert [int(b) for b in second] == [int(a) * 2 for a in first]


def test_blank_and_repeated_names_are_made_unique_and_said():
    found = profile("a,b,a,,a_3\n1,2,3,4,5\n")
    assert [c.name for c in found.columns] == ["a", "b", "a_3_3", "column_4", "a_3"]
    assert len(found.notes) == 2


def test_a_few_ragged_rows_are_mended_and_said():
    found = profile("a,b\n" + "1,2\n" * 30 + "3\n")
    assert found.rows == 31
    assert found.notes == ["1 rows were padded or cut to the header's length, in line 32"]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("sep=;\n{}", []),
        ("SEP = ;\n{}", []),
        ('"sep=;"\n{}', []),
        ("Orders\n{}", ["1 lines above the header were left out"]),
        ("Orders;;\nJanuary;;\n;;\n{}", ["3 lines above the header were left out"]),
        (
            "{}\nAll rights reserved\n\nPrinted by Ada\n",
            ["2 lines below the last row were left out"],
        ),
    ],
)
def test_what_exports_put_around_a_table_is_left_out_and_said(text: str, notes: list[str]):
    found = profile(text.format("id;name;city\n1;Ann;Ulm\n2;Ben;Bonn\n3;Cy;Jena\n"))
    assert [c.name for c in found.columns] == ["id", "name", "city"]
    assert (found.rows, found.delimiter, found.notes) == (3, ";", notes)


@pytest.mark.parametrize("wrong", [b"\xff", "\N{EURO SIGN}".encode()[:2]])
def test_a_byte_that_went_wrong_leaves_the_rest_of_a_file_as_it_is(wrong: bytes):
    found = profile_csv(io.BytesIO(FRENCH.encode() + b"5;" + wrong + b";Paris\n"))
    assert found.encoding == "utf-8"
    assert column(FRENCH, "commune").samples[0] in found.columns[2].samples
    assert found.notes == ["1 rows hold bytes that are no utf-8, in line 4"]


def test_one_cell_a_line_between_rows_is_no_footer():
    found = profile("id,name\n" + "1,Ann\n" * 20 + "\nlost\n\n2,Ben\n")
    note = "1 rows were padded or cut to the header's length, in line 23"
    assert (found.rows, found.notes) == (22, [note])


def test_a_cell_that_says_sep_is_no_separator_line():
    assert profile("code,name\nsep=x,Ann\nc,Ben\n").rows == 2
    assert profile("sep=x,name\na,Ann\nc,Ben\n").columns[0].name == "sep=x"


def test_a_delimiter_at_the_end_of_rows_alone_and_missing_last_cells_are_mended():
    closed = profile("id,name,city\n" + "1,Ann,Ulm,\n" * 20)
    assert (closed.rows, closed.notes) == (20, [])
    short = profile("id,name,city,note\n" + "1,Ann,Ulm\n" * 20)
    assert short.notes == ["20 rows were padded or cut to the header's length, the first in line 2"]
    assert short.columns[3].empty_share == 1


def test_blanks_after_delimiters_are_no_part_of_quoted_cells():
    assert column('a, b\n1, "x, y"\n2, "z"\n', "b").samples == ["x, y", "z"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_nul_characters_are_left_out_and_said_wherever_they_stand(encoding: str):
    found = profile("a,b\n\0x,1\n" + "y\0\0,2\n" + "z,3\n" * 60, encoding)
    assert found.notes == ["3 NUL characters were left out"]
    assert {"x", "y"} < {value for value, _ in found.columns[0].frequent}


@pytest.mark.parametrize("cell", ["ada@a.example", "ada", "Ada Alder"])
def test_one_column_is_a_table(cell: str):
    found = profile("Contact\n" + f"{cell}\n" * 20)
    assert ([c.name for c in found.columns], found.rows, found.notes) == (["Contact"], 20, [])


def test_quotes_within_cells_may_be_escaped_by_backslashes():
    rows = [r'"1","the \"best\", he says","C:\temp","\N"', r'"2","none","","back\\"']
    found = profile('"id","note","path","more"\n' + "\n".join(rows))
    assert found.notes == []
    assert [c.samples for c in found.columns[1:]] == [
        ['the "best", he says', "none"], ["C:\\temp", ""], ["\\N", "back\\"]
    ]  # fmt: skip
    assert column('a,b\n1,"C:\\dir\\"\n2,"D:\\"\n', "b").samples == ["C:\\dir\\", "D:\\"]


@pytest.mark.parametrize(
    "header", ["Country,2019,2020,2021", "Question,1,2,3", "Place,2020-01-01,2020-01-02,2020-01-03"]
)
def test_years_numbers_and_days_may_be_the_names_of_columns(header: str):
    assert [c.name for c in profile(header + "\nA,10,11,12\nB,13,14,15\n").columns] == header.split(
        ","
    )


def test_a_column_without_a_name_does_not_make_its_header_a_title():
    assert [c.name for c in profile(",name\n0,Ann\n1,Ben\n").columns] == ["column_1", "name"]
    assert [c.name for c in profile("id,\n1,Ann\n2,Ben\n").columns] == ["id", "column_2"]


def test_memory_does_not_grow_with_the_file():
    rows = "".join(f"{n},Street {n},{n / 7}\n" for n in range(20_000))
    stream = io.BytesIO(f"id,street,lat\n{rows}".encode())
    tracemalloc.start()
    found = profile_csv(stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.columns[0].distinct == DISTINCT_LIMIT
    assert peak < 5_000_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_of_a_large_file_the_first_rows_are_profiled_and_the_rest_is_not_read(
    encoding: str, shift: int
):
    row = '神戸市中央区加納町,"a\nb",1\n'  # may be cut anywhere: in a letter, a cell, a line of a cell
    data = ("住" * 2 + "x" * shift + ",b,c\n" + row * 150_000).encode(encoding)
    stream = io.BytesIO(data)
    found = profile_csv(stream)
    assert (found.bytes_read, found.bytes, found.encoding) == (READ_BYTES, len(data), encoding)
    assert found.rows == pytest.approx(
        READ_BYTES / (len(row.encode(encoding.removesuffix("-sig").replace("16", "16-le")))), abs=2
    )
    assert found.columns[1].distinct == 1
    guess = ["read as cp932, a guess; if text looks wrong, save the file as UTF-8"]
    assert found.notes == guess * (encoding == "cp932") + [
        f"these are the first {found.rows} rows of the file; the rest was not read"
    ]


def test_a_stream_that_cannot_seek_is_read_all_the_same():
    class Download(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

    assert profile_csv(Download(b"a,b\n1,2\n")).rows == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "export it as CSV"),
        (b"\x00\x01\x02", "binary"),
        (b"street\n12 Main St\n13 Oak Ave, Ulm\n14 Elm Rd\n15 Elm Rd\n", "Only one column"),
        (b"a,b\n", "no rows"),
        (b"12,Main St,94704\n14,Oak Ave,94705\n", "add a header row"),
        (b"a,b\n1,2,3\n1,2,3\n1,2,3\n", "delimiter and the quotes"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "check its quotes"),
        (b"a,b\n" + b"x," * 300_000 + b"\n", "each row on its own line"),
        (b"a,b\n" + b"x," * READ_BYTES, "each row on its own line"),
        (codecs.BOM_UTF8 + b"a,b\nM\xfcller,1\n", "begins as UTF-8 but is not so throughout"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "begins as UTF-16 but is not so throughout"),
        ("a,b\n1,2\n".encode("utf-16") + b"\x00\xd8\x01", "begins as UTF-16 but is not so"),
        (b"ada@a.example\nben@b.example\ncy@c.example\n", "add a header row"),
        (b"\n<html><td>a,b</td>\n", "HTML or XML"),
        (b'{"a": 1, "b": 2}\n', "JSON"),
        (b'[\n {\n  "a": 1,\n  "b": 2\n }\n]\n', "JSON"),
        (b"ada@a.example,Ada,2025-01-02\nben@b.example,Ben,2025-02-03\n", "add a header row"),
        (b"Ada,https://a.example/1\nBen,https://b.example/2\n", "add a header row"),
    ],
)
def test_what_is_no_csv_is_refused_in_one_sentence_that_says_what_to_do(data: bytes, says: str):
    with pytest.raises(BadCsv, match=says) as refused:
        profile_csv(io.BytesIO(data))
    assert str(refused.value).count(". ") == 0
