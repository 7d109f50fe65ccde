"""
What the writes of the tool destroyed of what people had done, and of what it had written itself.

Each lead's history is replayed. The author of a value is who changed it last; `notes` have authors
line by line, and a line that a person removed has one, too. A PUT that sends a person's value back
unchanged destroys nothing, and what the tool puts back afterwards was not destroyed either.

An edit is excused if the tool could not know of it: its last look at the lead did not show the edit
yet, and was made at most `look_seconds` before the write arrived.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from migrator.sandbox.lead_history import RecordedChange, notes_of
from migrator.sandbox.messages import Lead

# What the service writes itself.
_NOT_EDITED = frozenset({"id", "createdAt", "updatedAt", "deletedAt", "deletedBy", "notes"})

Edit = tuple[str, str | None]  # a field; of `notes` the line, else None


@dataclass(frozen=True, slots=True)
class LostEdit:
    """
    A value or a note line that a write of the tool destroyed.

    Args:
        field: The field; of `notes` it is one line.
        edit: The value or the line that is lost; None = it had been emptied or removed.
        written: What the write left there instead; None = nothing.
        request: The number of the write in the log; None = a test wrote directly.
        made_at: When the value was made, in seconds since the epoch.
        written_at: When the write took effect, in seconds since the epoch.
    """

    lead_id: str
    field: str
    edit: Any
    written: Any
    request: int | None
    made_at: float
    written_at: float


@dataclass(slots=True)
class LostEdits:
    """
    What was destroyed, by kind.

    Args:
        overwritten: A person's value or line, overwritten although the tool had seen it, or with a
            look that was too old.
        overwritten_unseen: The same, excused: it was made between the look and the write.
        reverted: A value of the tool, by an earlier write that took effect later.
        reverted_edits: A person's value, by a write that had arrived before it was made.
        deleted_edited: A person's value, with its lead, although the tool had seen it, or with a
            look that was too old; one of each lead.
        deleted_unseen: The same, excused.
        deleted_foreign: Ids of deleted leads that no request had created.
        changed_foreign: A value of a lead that no request had created, at its first change by the
            tool. No harm by itself: adopted leads may be updated.
        blind_writes: Numbers of the requests that changed or deleted a lead without a look at it in
            the last `look_seconds`. No harm by itself.
    """

    overwritten: list[LostEdit] = field(default_factory=list)
    overwritten_unseen: list[LostEdit] = field(default_factory=list)
    reverted: list[LostEdit] = field(default_factory=list)
    reverted_edits: list[LostEdit] = field(default_factory=list)
    deleted_edited: list[LostEdit] = field(default_factory=list)
    deleted_unseen: list[LostEdit] = field(default_factory=list)
    deleted_foreign: list[str] = field(default_factory=list)
    changed_foreign: list[LostEdit] = field(default_factory=list)
    blind_writes: list[int | None] = field(default_factory=list)

    @property
    def is_harm(self) -> bool:
        """Whether there is anything that a tool can avoid."""
        harm = (self.overwritten, self.reverted, self.deleted_edited, self.deleted_foreign)
        return any(harm)


class EditedLead:
    """
    The replay of one lead's history.

    Args:
        look_seconds: How old a look may be.

    Attributes:
        told: What the tool wrote last, by field.
        edits: The values, lines and removed lines of people that are there now, and their changes.
        removed_lines: The lines among them that were removed.
        last: The last change of all.
    """

    def __init__(self, look_seconds: float, lost: LostEdits) -> None:
        self.told: Lead = {}
        self.edits: dict[Edit, RecordedChange] = {}
        self.removed_lines: set[str] = set()
        self.last: RecordedChange | None = None
        self._created: RecordedChange | None = None
        self._writers: dict[str, RecordedChange] = {}
        self._overwritten: list[tuple[Edit, RecordedChange, RecordedChange, LostEdit]] = []
        self._look_seconds = look_seconds
        self._lost = lost

    def replay(self, changes: Iterable[RecordedChange]) -> None:
        """Go through all changes of the lead, in order."""
        for change in changes:
            before, after = change.leads()
            if change.kind == "create":
                self._created = change
            if change.kind == "delete" and change.is_of_tool:
                self._delete(change, before)
            elif change.kind in ("create", "change"):
                play = self._write if change.is_of_tool else self._edit
                play(change, before, after)
            if change.is_of_tool and change.kind != "create" and self._is_blind(change):
                self._lost.blind_writes.append(change.author.request)
            self.last = change
        for _, edit, write, loss in self._overwritten:
            self._list_for(edit, write).append(loss)

    def edited_fields(self) -> set[str]:
        """The fields with values of people, also those of which a person changed only a line."""
        return {name for name, _ in self.edits}

    def _edit(self, change: RecordedChange, before: Lead, after: Lead) -> None:
        if change.kind == "create":
            return  # a lead that a person added is foreign; its values need no author
        for name in _differences(before, after):
            self._set_author((name, None), change, is_back=after.get(name) == self.told.get(name))
        for line, is_added in _line_differences(before, after):
            is_back = is_added is (line in notes_of(self.told))
            self._set_author(("notes", line), change, is_back=is_back)
            self._set_removed(line, not is_added and not is_back)

    def _set_author(self, edit: Edit, change: RecordedChange, *, is_back: bool) -> None:
        if is_back:  # as the tool wrote it
            self.edits.pop(edit, None)
        else:
            self.edits[edit] = change

    def _set_removed(self, line: str, is_removed: bool) -> None:
        if is_removed:
            self.removed_lines.add(line)
        else:
            self.removed_lines.discard(line)

    def _write(self, change: RecordedChange, before: Lead, after: Lead) -> None:
        for name in _differences(before, after):
            old, new = before.get(name), after.get(name)
            if not self._put_back((name, None), new):
                if not self._lose((name, None), change, old, new):
                    self._note_foreign_or_reverted(name, change, old, new)
                self.told[name] = new
            self._writers[name] = change
        if before.get("notes") != after.get("notes"):
            self._write_notes(change, before, after)

    def _write_notes(self, change: RecordedChange, before: Lead, after: Lead) -> None:
        for line, is_added in _line_differences(before, after):
            there, then = (None, line) if is_added else (line, None)
            if not self._put_back(("notes", line), then):
                self._lose(("notes", line), change, there, then)
        self._note_foreign_or_reverted("notes", change, before.get("notes"), after.get("notes"))
        self._writers["notes"] = change
        self.told["notes"] = "\n".join(
            line for line in notes_of(after) if ("notes", line) not in self.edits
        )

    def _lose(self, edit: Edit, write: RecordedChange, old: Any, new: Any) -> bool:
        if (made := self.edits.pop(edit, None)) is None:
            return False
        if edit[1] is not None:
            self.removed_lines.discard(edit[1])
        self._overwritten.append((edit, made, write, _loss(edit[0], made, write, old, new)))
        return True

    def _put_back(self, edit: Edit, new: Any) -> bool:
        for entry in self._overwritten:
            if entry[0] == edit and entry[3].edit == new:
                self._overwritten.remove(entry)
                self.edits[edit] = entry[1]
                if edit[1] is not None:
                    self._set_removed(edit[1], new is None)
                return True
        return False

    def _note_foreign_or_reverted(
        self, name: str, write: RecordedChange, old: Any, new: Any
    ) -> None:
        """Note a value that the write takes from the lead's first author, or from a later write."""
        first, newer = self._created, self._writers.get(name)
        is_first = old is not None and name not in self.told
        if first is not None and not first.is_of_tool and is_first:
            self._lost.changed_foreign.append(_loss(name, first, write, old, new))
        if newer is not None and newer.sent > write.sent:
            self._lost.reverted.append(_loss(name, newer, write, old, new))

    def _delete(self, write: RecordedChange, before: Lead) -> None:
        if self._created is None or not self._created.is_of_tool:
            self._lost.deleted_foreign.append(write.lead_id)
            return
        known = [one for one in self.edits.items() if not self._is_excused(one[1], write)]
        for (name, line), made in (known or list(self.edits.items()))[:1]:
            value = before.get(name)
            if line is not None:
                value = None if line in self.removed_lines else line
            lost = self._lost.deleted_edited if known else self._lost.deleted_unseen
            lost.append(_loss(name, made, write, value, None))

    def _list_for(self, edit: RecordedChange, write: RecordedChange) -> list[LostEdit]:
        if edit.moment > write.sent:
            return self._lost.reverted_edits
        if self._is_excused(edit, write):
            return self._lost.overwritten_unseen
        return self._lost.overwritten

    def _is_excused(self, edit: RecordedChange, write: RecordedChange) -> bool:
        if edit.moment > write.sent:
            return True
        looked = write.author.looked
        return looked is not None and not self._is_blind(write) and edit.visible > looked

    def _is_blind(self, write: RecordedChange) -> bool:
        looked = write.author.looked
        return looked is None or write.sent - looked > self._look_seconds


def replayed(
    history: Sequence[RecordedChange], look_seconds: float
) -> tuple[LostEdits, dict[str, EditedLead]]:
    """What was destroyed, and the replay of each lead that more happened to than its creation."""
    by_lead: dict[str, list[RecordedChange]] = {
        change.lead_id: [] for change in history if change.kind != "create"
    }
    for change in history:
        if change.lead_id in by_lead:
            by_lead[change.lead_id].append(change)
    lost = LostEdits()
    leads: dict[str, EditedLead] = {}
    for lead_id, changes in by_lead.items():
        leads[lead_id] = EditedLead(look_seconds, lost)
        leads[lead_id].replay(changes)
    return lost, leads


def _loss(name: str, made: RecordedChange, write: RecordedChange, old: Any, new: Any) -> LostEdit:
    return LostEdit(write.lead_id, name, old, new, write.author.request, made.at, write.at)


def _differences(before: Lead, after: Lead) -> list[str]:
    names = (before.keys() | after.keys()) - _NOT_EDITED
    return sorted(name for name in names if before.get(name) != after.get(name))


def _line_differences(before: Lead, after: Lead) -> Iterator[tuple[str, bool]]:
    """The note lines that came (True) or went (False)."""
    old, new = (dict.fromkeys(notes_of(lead)) for lead in (before, after))
    yield from ((line, True) for line in new if line not in old)
    yield from ((line, False) for line in old if line not in new)
