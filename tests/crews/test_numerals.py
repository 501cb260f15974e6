"""Numbers are read as people and products write them."""

import io

import pytest

from crews.import_mapping.profile import ColumnProfile, profile_csv


def column(text: str, name: str) -> ColumnProfile:
    found = profile_csv(io.BytesIO(text.encode()))
    return next(column for column in found.columns if column.name == name)


@pytest.mark.parametrize(
    ("cells", "low", "high", "integer"),
    [
        (["64,11438660967", "-21,7702940057837"], -21.7702940057837, 64.11438660967, False),
        (["3,465,572.000", "3,465,573.000"], 3465572, 3465573, True),
        (["1.234,5", "2.000,25"], 1234.5, 2000.25, False),
        (["24,348", "24,349"], 24348, 24349, True),
        (["007", "12"], 7, 12, True),
    ],
)
def test_numbers_are_read_as_people_write_them(cells, low, high, integer):
    found = column("n;x\n" + "".join(f"{cell};a\n" for cell in cells), "n")
    assert (found.numeric_share, found.range, found.integer) == (1.0, (low, high), integer)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("$12.50", 12.5), ("12.50 EUR", 12.5), ("EUR 12.50", 12.5), ("-$12.50", -12.5), ("$-12.50", -12.5),
        ("1 234,50 €", 1234.5), ("€ 1.234,50", 1234.5), ("(12.50)", -12.5), ("($12.50)", -12.5),
        ("12.50-", -12.5), ("\u221212.50", -12.5), ("12.5%", 12.5), ("12,5 %", 12.5), ("1\u2019234.50", 1234.5),
        ("1\u202f234,50", 1234.5), ("1,00,000.50", 100000.5), ("R$ 12,50", 12.5), ("12,50 zł", 12.5),
    ],
)  # fmt: skip
def test_amounts_of_money_are_numbers(cell: str, number: float):
    found = column(f"n;x\n{cell};a\n{cell};b\nN/A;c\n-;d\n", "n")
    assert (found.numeric_share, found.range) == (1.0, (number, number))


@pytest.mark.parametrize(
    "cell",
    ["12:30", "5 kg", "ABC 123", "-(5)", "--5", "5-5", "$", "%", "(5", "+1 555 0100", "12 Main"],
)
def test_what_only_holds_digits_is_no_number(cell: str):
    assert column(f"n;x\n{cell};a\n{cell};b\n", "n").numeric_share == 0
