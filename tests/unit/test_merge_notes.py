"""The notes of a lead are merged by lines: ours follow HubSpot, other people's stay as they are."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.comparison import UpdateProof, what_a_listing_proves
from migrator.comparison.notes import keep_record_line, merge_notes
from migrator.mapping import comparable, note_lines, record_line
from tests.unit.test_mapping import patiently

OPENING = "Historic Contact imported from HubSpot"
RECORD = record_line("4711", "101")
SUCCESSOR = record_line("4711", "202")


def text(*lines: str) -> str:
    return "\n".join(lines)


BASE = text(OPENING, RECORD, "Lifecycle: lead", "Status: OPEN")
NEW = text(OPENING, RECORD, "Lifecycle: customer", "Status: OPEN")


@pytest.mark.parametrize(
    ("new", "there", "merged"),
    [
        # replaced where it stands
        (NEW, BASE, NEW),
        (NEW, text(BASE, "Called on Monday"), text(NEW, "Called on Monday")),
        (
            NEW,
            text("Mine", "Lifecycle: lead", "Also mine", OPENING, RECORD, "Status: OPEN"),
            text("Mine", "Lifecycle: customer", "Also mine", OPENING, RECORD, "Status: OPEN"),
        ),
        # a new one goes behind ours that precedes it
        (text(BASE, "Industry: RETAIL"), text(BASE, "x"), text(BASE, "Industry: RETAIL", "x")),
        (
            text(OPENING, RECORD, "Owner: Ada", "Lifecycle: lead", "Status: OPEN"),
            text(OPENING, RECORD, "x", "Lifecycle: lead", "Status: OPEN"),
            text(OPENING, RECORD, "Owner: Ada", "x", "Lifecycle: lead", "Status: OPEN"),
        ),
        (
            text(OPENING, RECORD, "Lifecycle: lead", "Industry: RETAIL", "Status: OPEN"),
            text(OPENING, RECORD, "x", "Status: OPEN"),
            text(OPENING, RECORD, "Industry: RETAIL", "x", "Status: OPEN"),
        ),
        # also behind ours that was rewritten, or at the top if none is left
        (
            text(BASE, "Industry: RETAIL"),
            text(OPENING, RECORD, "Lifecycle: lead", "Status: lost", "x"),
            text(OPENING, RECORD, "Lifecycle: lead", "Status: lost", "Industry: RETAIL", "x"),
        ),
        (text(BASE, "Industry: RETAIL"), "x", text("Industry: RETAIL", "x")),
        # taken out when its property was emptied
        (
            text(OPENING, RECORD, "Status: OPEN"),
            text(BASE, "x"),
            text(OPENING, RECORD, "Status: OPEN", "x"),
        ),
        # another opening, or none
        (
            BASE.replace(OPENING, "From: HubSpot"),
            text("x", BASE),
            text("x", BASE.replace(OPENING, "From: HubSpot")),
        ),
        (text(*BASE.splitlines()[1:]), text(BASE, "x"), text(*BASE.splitlines()[1:], "x")),
        # the successor's record line replaces its predecessor's, and is never there twice
        (
            BASE.replace(RECORD, SUCCESSOR),
            text(BASE, "x"),
            text(BASE.replace(RECORD, SUCCESSOR), "x"),
        ),
        (
            BASE.replace(RECORD, SUCCESSOR),
            text(BASE, SUCCESSOR),
            text(OPENING, "Lifecycle: lead", "Status: OPEN", SUCCESSOR),
        ),
        # ours that somebody rewrote or removed, but that is the same at HubSpot
        (NEW, BASE.replace("OPEN", "lost"), NEW.replace("OPEN", "lost")),
        (NEW, text(OPENING, "Lifecycle: lead"), text(OPENING, "Lifecycle: customer")),
        (
            NEW,
            text(OPENING, RECORD[:-1], "Lifecycle: lead"),
            text(OPENING, RECORD[:-1], "Lifecycle: customer"),
        ),
        # already there, also in other places
        (NEW, text("x", *reversed(NEW.splitlines())), text("x", *reversed(NEW.splitlines()))),
        (text(OPENING, RECORD), text(OPENING, RECORD, "x"), text(OPENING, RECORD, "x")),
        # another person's line with our label is no line of ours while ours is there
        (NEW, text("Lifecycle: ask her", BASE), text("Lifecycle: ask her", NEW)),
        (NEW, text("Lifecycle: customer", BASE), text("Lifecycle: customer", NEW)),
        (
            text(BASE, "Industry: RETAIL"),
            text("Industry: toys?", BASE),
            text("Industry: toys?", BASE, "Industry: RETAIL"),
        ),
        # repeated lines: the first is ours
        (NEW, text(BASE, "Lifecycle: lead"), text(NEW, "Lifecycle: lead")),
    ],
)
def test_ours_follow_hubspot_and_others_stay(new: str, there: str, merged: str) -> None:
    result = merge_notes(BASE, new, there)
    assert (result.text, result.has_conflict) == (merged, False)
    assert merge_notes(new, new, result.text).text == result.text


@pytest.mark.parametrize(
    ("new", "there", "kept", "overwritten"),
    [
        # rewritten there, changed at HubSpot
        (
            NEW,
            text(OPENING, RECORD, "lifecycle:  Lead?", "Status: OPEN"),
            text(OPENING, RECORD, "lifecycle:  Lead?", "Status: OPEN"),
            NEW,
        ),
        # removed there, changed at HubSpot
        (
            NEW,
            text(OPENING, RECORD, "x", "Status: OPEN"),
            text(OPENING, RECORD, "x", "Status: OPEN"),
            text(OPENING, RECORD, "Lifecycle: customer", "x", "Status: OPEN"),
        ),
        # rewritten there, emptied at HubSpot
        (
            text(OPENING, RECORD, "Status: OPEN"),
            BASE.replace("Lifecycle: lead", "Lifecycle: lead!"),
            BASE.replace("Lifecycle: lead", "Lifecycle: lead!"),
            text(OPENING, RECORD, "Status: OPEN"),
        ),
        # two lines may be ours, so neither is overwritten
        (
            NEW,
            text(OPENING, RECORD, "Lifecycle: a", "Lifecycle: b", "Status: OPEN"),
            text(OPENING, RECORD, "Lifecycle: a", "Lifecycle: b", "Status: OPEN"),
            text(
                *(OPENING, RECORD, "Lifecycle: customer"),
                *("Lifecycle: a", "Lifecycle: b", "Status: OPEN"),
            ),
        ),
        # what is not in conflict is merged either way
        (
            text(NEW.replace("OPEN", "WON"), "Industry: RETAIL"),
            BASE.replace("lead", "lead?"),
            text(BASE.replace("lead", "lead?").replace("OPEN", "WON"), "Industry: RETAIL"),
            text(NEW.replace("OPEN", "WON"), "Industry: RETAIL"),
        ),
        # a record line that was cut is ours, another contact's is not
        (
            BASE.replace(RECORD, SUCCESSOR),
            BASE.replace(RECORD, RECORD[:-1]),
            BASE.replace(RECORD, RECORD[:-1]),
            BASE.replace(RECORD, SUCCESSOR),
        ),
        (
            BASE.replace(RECORD, SUCCESSOR),
            BASE.replace(RECORD, record_line("4711", "7")),
            BASE.replace(RECORD, record_line("4711", "7")),
            BASE.replace(RECORD, text(SUCCESSOR, record_line("4711", "7"))),
        ),
    ],
)
def test_ours_that_changed_on_both_sides_is_in_conflict(
    new: str, there: str, kept: str, overwritten: str
) -> None:
    result = merge_notes(BASE, new, there)
    assert (result.text, result.has_conflict) == (kept, True)
    result = merge_notes(BASE, new, there, overwrite=True)
    assert (result.text, result.has_conflict) == (overwritten, True)


def test_with_an_unknown_base_what_is_not_listed_is_in_conflict() -> None:
    assert not merge_notes(None, NEW, text("x", NEW)).has_conflict
    there = text("x", *(line for line in BASE.splitlines() if line != OPENING))
    result = merge_notes(None, NEW, there)
    assert (result.text, result.has_conflict) == (there, True)
    assert merge_notes(None, NEW, there, overwrite=True).text == text(
        OPENING, "x", *NEW.splitlines()[1:]
    )


def test_a_disputed_line_is_in_conflict_although_hubspot_did_not_change_it() -> None:
    there = text(OPENING, RECORD, "Lifecycle: lead", "Status: lost", "x")
    assert merge_notes(BASE, BASE, there).text == there
    assert not merge_notes(BASE, BASE, there).has_conflict
    assert merge_notes(BASE, BASE, there, is_disputed=True).has_conflict
    result = merge_notes(BASE, BASE, there, is_disputed=True, overwrite=True)
    assert result.text == text(BASE, "x")


@pytest.mark.parametrize(
    ("there", "merged"),
    [
        (BASE.replace("\n", "\r\n"), NEW.replace("\n", "\r\n")),
        (BASE + "\n", NEW + "\n"),
        (
            f" \t{BASE}  \r\n\r\n  x \r\n".replace("lead\n", "lead  \n"),
            f" \t{NEW}  \r\n\r\n  x \r\n",
        ),
        (f"x\u2028{BASE}\x0b", f"x\u2028{NEW}\x0b"),
    ],
)
def test_line_ends_and_spaces_of_others_stay(there: str, merged: str) -> None:
    assert merge_notes(BASE, NEW, there).text == merged


def test_a_blank_line_stays_when_line_ends_are_mixed() -> None:
    new = text(RECORD, "Owner: Ada")
    assert merge_notes(RECORD, new, f"x\r{RECORD}\n\n").text == f"x\n{RECORD}\nOwner: Ada\n\n"
    assert merge_notes(new, RECORD, f"{RECORD}\rOwner: Ada\n\n").text == f"{RECORD}\n\n"


def test_a_line_that_is_put_in_has_the_line_end_of_the_others() -> None:
    crlf = BASE.replace("\n", "\r\n")
    new = text(BASE, "Industry: RETAIL")
    assert merge_notes(BASE, new, crlf).text == new.replace("\n", "\r\n")
    assert merge_notes(BASE, new, crlf + "\r\n").text == new.replace("\n", "\r\n") + "\r\n"


def test_a_line_is_found_once_also_where_labels_begin_alike() -> None:
    told = "A: x\nA:: y"
    assert merge_notes(told, "A: z\nA:: y", "A:: y", overwrite=True).text == "A: z\nA:: y"
    assert merge_notes(told, "", "A:: z", overwrite=True).text == ""


def test_the_unicode_form_does_not_matter() -> None:
    told = text(OPENING, RECORD, "Status: Grün", "Lifecycle: lead")
    assert merge_notes(
        told, told.replace("lead", "customer"), told.replace("ü", "u\u0308")
    ).text == told.replace("lead", "customer").replace("ü", "u\u0308")


def test_a_persons_notes_keep_the_record_line() -> None:
    assert keep_record_line(BASE, NEW, "mine") == text(RECORD, "mine")
    assert keep_record_line(BASE, NEW, text("mine", RECORD)) == text("mine", RECORD)
    succeeded = BASE.replace(RECORD, SUCCESSOR)
    assert keep_record_line(BASE, succeeded, text("mine", RECORD)) == text("mine", SUCCESSOR)
    assert keep_record_line(None, NEW, "mine") == text(RECORD, "mine")
    assert keep_record_line("Status: x", "Status: y", "mine") == "mine"


# Games: HubSpot changes our lines while people edit the listed notes.

LABELS = ("Lifecycle", "Status", "Industry", "Owner")
OTHERS = ("Called on Monday", "  Status: mine  ", "Owner:", "[HubSpot record: 4711/9]", "", "a: b ")
ENDS = ("\n", "\r\n", "\r", "\u2028")


@st.composite
def ours(draw: st.DrawFn, contacts: tuple[str, ...] = ("101",)) -> str:
    values = {label: draw(st.sampled_from(["", "one", "two: three"])) for label in LABELS}
    opening = draw(st.sampled_from(["", OPENING, "Imported: today"]))
    lines = [f"{label}: {value}" for label, value in values.items() if value]
    record = record_line("4711", draw(st.sampled_from(contacts)))
    return text(*([opening] if opening else []), record, *lines)


@st.composite
def edited(draw: st.DrawFn, notes: str) -> str:
    """Notes after people removed, rewrote and repeated lines, moved them, and added their own."""
    lines = notes.splitlines()
    for line in list(lines):
        edit = draw(st.sampled_from(["none"] * 6 + ["remove", "rewrite", "repeat", "move"]))
        place = lines.index(line)
        if edit in ("remove", "move"):
            del lines[place]
        if edit == "rewrite":
            lines[place] += "!"
        if edit in ("repeat", "move"):
            lines.insert(draw(st.integers(0, len(lines))), line)
    for line in draw(st.lists(st.sampled_from(OTHERS), max_size=4)):
        lines.insert(draw(st.integers(0, len(lines))), line)
    ends = [draw(st.sampled_from(ENDS)) for _ in lines]
    return "".join(map("".join, zip(lines, ends, strict=True)))


@patiently
@given(st.data())
def test_whatever_is_edited_others_lines_stay_and_a_second_merge_changes_nothing(
    data: st.DataObject,
) -> None:
    base = data.draw(ours())
    new = data.draw(ours(("101", "202")))
    there = data.draw(edited(base))
    overwrite = data.draw(st.booleans())
    merged = merge_notes(base, new, there, overwrite=overwrite)

    told, now = set(note_lines(base)), set(note_lines(new))
    rewritten = {f"{line}!" for line in told} if overwrite else set()
    before, after = there.splitlines(), merged.text.splitlines()
    theirs = [
        line
        for line in before
        if comparable(line) not in told | now | rewritten
        and not (overwrite and comparable(line) in {comparable(one) for one in OTHERS[1:3]})
    ]
    # Nothing of others is lost, changed or moved, up to the spaces.
    rest = iter(after)
    assert all(line in rest for line in theirs)
    # What is taken out was ours, once a line; what is put in is HubSpot's.
    gone, put = Counter(before) - Counter(after), Counter(after) - Counter(before)
    assert {comparable(line) for line in put} <= now
    assert all(number == 1 for number in gone.values())
    if not overwrite:
        assert {comparable(line) for line in gone} <= told - now
    # The record line is neither lost nor doubled.
    record = next(line for line in note_lines(new) if line.startswith("[HubSpot record: 4711/"))
    listed, result = note_lines(there), note_lines(merged.text)
    if not merged.has_conflict:
        former = next(line for line in note_lines(base) if line.startswith("[HubSpot record: "))
        assert bool({record} & set(result)) == bool({record, former} & set(listed))
    assert result.count(record) <= max(1, listed.count(record))
    # HubSpot's change is complete, unless it is in conflict.
    if overwrite or not merged.has_conflict:
        assert now - told <= set(result)
        assert merge_notes(new, new, merged.text).text == merged.text
    # A listing that shows it proves that it landed.
    sent = {"notes": merged.text}
    if note_lines(merged.text) != note_lines(there):
        image, later = {"notes": there}, {"notes": f"{merged.text}\nlater"}
        assert what_a_listing_proves(sent, image, later) is UpdateProof.LANDED
        assert what_a_listing_proves(sent, image, image) is UpdateProof.NOT_LANDED
    if base == new and not overwrite:
        assert (merged.text, merged.has_conflict) == (there, False)
