"""Tables that no spreadsheet calculates, rounds or breaks, and what one writes back."""

import csv
import errno
import stat
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from migrator.amend.csv_table import CsvTable, guarded, plain, read, refuse, write
from migrator.errors import UsageError

COLUMNS = ("contact", "email", "phone")
FORMULAS = ["=1+1", "+1 555", "-5", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "＋1", "－1", "＠x"]
# What Excel, and programs that know no numbers but floats, make of 16, 18 and 19 digits.
ROUNDED = ["1234567890123450", "123456789012345680", "1234567890123456800", "1234567890123456768"]
ALTERED = ["007", "123456789012", "1E5", "3/4", "1.50", "12:30", "TRUE", "100000000000000001", "5%"]


def table_of(path: Path, content: str | bytes) -> CsvTable:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read(path, COLUMNS, "contact")


def cells_of(table: CsvTable) -> list[dict[str, str]]:
    return [dict(row.cells) for row in table.rows]


@pytest.fixture(autouse=True)
def as_in_a_new_process():
    """The longest cell is the csv module's own affair, and outlasts a test."""
    csv.field_size_limit(131_072)


def fault(path: Path, content: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        table_of(path, content)
    assert caught.value.hint
    return caught.value.message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "held.csv"


# What is written


@pytest.mark.parametrize("text", [*FORMULAS, "'tis", "\u200b=1", "\xa0+1"])
def test_what_begins_like_a_formula_gets_an_apostrophe(text):
    assert guarded(plain(text)).startswith("'")


@pytest.mark.parametrize("text", ["x;=1", "x\t+1", "x\n-1", "x; @a", "x\r\n=1"])
def test_no_formula_begins_behind_another_delimiter(text):
    safe = guarded(plain(text)).replace("\t", ";").replace("\n", ";")
    assert all(not cell.strip().startswith(tuple("=+-@")) for cell in safe.split(";"))


@pytest.mark.parametrize("text", ALTERED)
def test_what_a_spreadsheet_would_alter_gets_an_apostrophe(text):
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", ["10251", "0", "12345678901", "ada@x.example", "3 Bären", ""])
def test_other_cells_stay_as_they_are(text):
    assert guarded(text) == text


def test_it_is_utf_8_with_a_mark_and_every_cell_is_quoted(file):
    assert write(file, COLUMNS, [["1", 'Zoë "Z"', "a,b\nc"]]) == 1
    assert file.read_bytes() == (
        b'\xef\xbb\xbf"contact","email","phone"\r\n"1","Zo\xc3\xab ""Z""","a,b\nc"\r\n'
    )


def test_it_is_its_owner_s_alone_also_in_the_place_of_a_wider_one(file):
    file.write_text("old")
    file.chmod(0o644)
    write(file, COLUMNS, [])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_stops_in_the_middle_leaves_what_was_there(file):
    file.write_text("old")

    def rows():
        yield ["1", "a", "b"]
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        write(file, COLUMNS, rows())
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_it_follows_a_link_and_keeps_it(file, tmp_path):
    link = tmp_path / "link.csv"
    link.symlink_to(file)
    write(link, COLUMNS, [])
    assert link.is_symlink()
    assert file.is_file()


@pytest.mark.parametrize("name", [".", "nowhere/held.csv", "loop", "a" * 300, "file/held.csv"])
def test_a_place_where_no_file_can_be_is_named(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"^{tmp_path / name} "):
        write(tmp_path / name, COLUMNS, [])


# What comes back


# Halves of a surrogate pair among them, and more of what is peculiar than chance would give.
TEXTS = st.text(st.characters() | st.sampled_from("=+-@'\t\n\r;,\" 0179E＝\x00\ud800\ufeff"))


@settings(max_examples=150)
@example(rows=[["", "", "\n"]])
@given(rows=st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=4))
def test_whatever_is_written_comes_back_as_it_was(tmp_path_factory, rows):
    file = tmp_path_factory.getbasetemp() / "round.csv"
    write(file, COLUMNS, rows)
    wanted = [[plain(cell) for cell in row] for row in rows]
    table = read(file, COLUMNS, "contact")
    found = [list(row.cells.values()) for row in table.rows]
    assert found == [row for row in wanted if any(cell.strip() for cell in row)]
    assert all(not row.rounded for row in table.rows)


@given(text=TEXTS)
def test_no_cell_that_is_written_begins_like_a_formula(text):
    assert not guarded(plain(text)).lstrip().startswith(tuple("=+-@＝＋－＠"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_it_reads_what_spreadsheets_write(file, encoding, delimiter, end):
    rows = ["email,contact,", 'Zoë@x.example,1,""', '"a,b;c",2,', ",,", ""]
    text = end.join(rows).replace(",", delimiter).replace(f"a{delimiter}b", "a,b")
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    assert cells_of(table_of(file, (mark + text).encode(encoding))) == [
        {"email": "Zoë@x.example", "contact": "1"},
        {"email": "a,b;c", "contact": "2"},
    ]


def test_a_line_break_in_a_cell_is_one_whichever_it_is(file):
    table = table_of(file, 'contact,email\r\n1,"a\r\nb"\r\n2,"a\rb"\r\n')
    assert [row["email"] for row in cells_of(table)] == ["a\nb", "a\nb"]


def test_a_row_that_lacks_its_last_cells_says_nothing_of_them(file):
    assert cells_of(table_of(file, "contact,email,phone\n1,a@b\n")) == [
        {"contact": "1", "email": "a@b"}
    ]
    # Without the key there would be nothing to ask for.
    assert cells_of(table_of(file, "email,contact\na@b\n")) == [{"contact": "", "email": "a@b"}]


def test_rows_are_counted_as_a_spreadsheet_counts_them(file):
    table = table_of(file, 'contact,email\n1,"a\nb"\n\n2,c\n')
    assert [row.number for row in table.rows] == [2, 4]


@pytest.mark.parametrize("cell", ["1.23457E+17", "1,23457E+17", "123456789012345000", *ROUNDED])
def test_a_number_that_may_have_been_rounded_is_marked(file, cell):
    assert table_of(file, f'contact\n"{cell}"\n').rows[0].rounded == {"contact"}
    assert not table_of(file, f'contact\n"\'{cell}"\n').rows[0].rounded


@pytest.mark.parametrize(
    "cell", ["123456789012345678", "1234567890123456", "10251", "1e", "9" * 400]
)
def test_a_number_that_nothing_was_rounded_to_is_none_of_them(file, cell):
    assert not table_of(file, f"contact\n{cell}\n").rows[0].rounded


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "there is no column contact"),
        ("email\nx\n", "there is no column contact"),
        ("contact,e-mail\n", "no column 'e-mail'; the nearest name is email"),
        ("contact,Phone\n", "no column 'Phone'; the nearest name is phone"),
        ("contact,zzz\n", "no column 'zzz'"),
        ("contact,email,email\n", "there are two columns email"),
        ("contact\n1,x\n", "row 2: a cell is in a column without a name"),
        ("contact,\n1,x\n", "row 2: a cell is in a column without a name"),
        ('contact\n"1"x\n', "is not valid CSV from line 2 on"),
        ('contact\n1\n"2\n', "is not valid CSV from line 3 on"),
        ("contact\nJ\xe9r\n".encode("latin-1"), "is not in UTF-8: line 2 "),
        ("contact\n1\n".encode("utf-16") + b"x", "is not in UTF-8"),
        (b"PK\x03\x04 and so on", "is a workbook, not CSV"),
        ("a" * 200_000 + "\n", "there is no column contact"),
    ],
)
def test_what_is_no_such_table_is_said_in_words(file, content, words):
    assert words in fault(file, content)


def test_all_faults_of_a_header_are_named_at_once(file):
    message = fault(file, "e-mail,zzz\n")
    assert "column contact" in message
    assert "'e-mail'" in message
    assert "'zzz'" in message


@pytest.mark.parametrize(("name", "why"), [("nix.csv", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, why):
    with pytest.raises(UsageError, match=f"cannot be read: {why}"):
        read(tmp_path / name, COLUMNS, "contact")


def test_of_very_many_faults_the_first_are_named_and_the_others_counted(file):
    with pytest.raises(UsageError, match=r"fault 19\nand 1,980 more$"):
        refuse(file, [f"fault {number}" for number in range(2_000)], "correct them")


def test_a_long_cell_of_any_kind_comes_back(file):
    for text in ("; " * 50_000, " " * 200_000 + "x", "\n \n" * 50_000, "9" * 200_000, "'" * 99_999):
        write(file, COLUMNS, [["1", text, ""]])
        assert cells_of(read(file, COLUMNS, "contact"))[0]["email"] == text
