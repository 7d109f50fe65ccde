"""Which contacts are sent next, with a table of contacts in place of a ledger's."""

from dataclasses import dataclass, field

from migrator.ledger import ContactToSend
from migrator.push.breaker import RemainingWork
from migrator.push.queue import SendQueue

SETTLE = 60.0


@dataclass
class Contacts:
    """Contacts by their number, as a queue asks for them."""

    fresh: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)

    def untried(self, limit: int) -> list[ContactToSend]:
        return self.among(sorted(self.fresh))[:limit]

    def untried_at(self, place: float) -> ContactToSend | None:
        ordered = sorted(self.fresh)
        return self.among(ordered[int(place * len(ordered)) :])[0]

    def has_untried(self) -> bool:
        return bool(self.fresh)

    def unseen(self, keys: list[int]) -> list[int]:
        return []

    def tried(self) -> list[int]:
        return sorted(self.failed)

    def among(self, keys: list[int]) -> list[ContactToSend]:
        return [ContactToSend(key, str(key), {}) for key in keys if key in self.fresh | self.failed]


def taken(queue: SendQueue, count: int, limit: int | None) -> list[int]:
    return [claim.contact.key for claim in queue.take(count, limit, spread=False)]


def test_a_contact_that_was_not_sent_and_needs_nothing_any_more_takes_no_place_within_the_limit():
    contacts = Contacts(fresh={1, 2, 3})
    queue = SendQueue(contacts, SETTLE, 0.0)  # type: ignore[arg-type]
    assert taken(queue, 1, 2) == [1]
    queue.again(1, is_unsent=True)
    contacts.fresh.remove(1)
    assert taken(queue, 3, 2) == [2, 3]


def test_a_contact_that_was_not_sent_is_the_next_one():
    contacts = Contacts(fresh={1, 2, 3})
    queue = SendQueue(contacts, SETTLE, 0.0)  # type: ignore[arg-type]
    assert taken(queue, 2, 2) == [1, 2]
    queue.again(2, is_unsent=True)
    contacts.fresh.remove(1)
    assert taken(queue, 3, 2) == [2]


def test_what_a_limit_kept_back_of_a_round_is_in_the_next_one_once():
    contacts = Contacts(fresh={4, 5, 6, 7}, failed={1, 2, 3})
    queue = SendQueue(contacts, SETTLE, 0.0)  # type: ignore[arg-type]
    limit = 5
    assert taken(queue, 4, limit) == [4, 5, 6, 7]
    for key in (4, 5, 6, 7):
        queue.failed(key, 0.0)
    contacts.fresh, contacts.failed = set(), set(range(1, 8))
    assert queue.begin_round(SETTLE, None, limit)
    first = taken(queue, 4, limit)
    contacts.failed -= set(first)
    for key in first:
        queue.finish(key)
    assert queue.begin_round(SETTLE, None, limit)
    again = taken(queue, 8, limit)
    assert again
    assert len(again) == len(set(again))


def test_a_round_begins_a_settle_time_after_the_latest_failure():
    contacts = Contacts(failed={1, 2})
    queue = SendQueue(contacts, SETTLE, 1000.0)  # type: ignore[arg-type]
    queue.failed(1, 1005.0)
    queue.failed(2, 1003.0)
    assert queue.rest_seconds(1010.0) == SETTLE - 5.0
    assert not queue.begin_round(1064.9, None, None)
    assert queue.begin_round(1065.0, None, None)
    assert queue.rest_seconds(1100.0) == 0.0


def test_what_a_limit_excludes_is_left_but_out_of_reach():
    contacts = Contacts(fresh={1, 2})
    queue = SendQueue(contacts, SETTLE, 0.0)  # type: ignore[arg-type]
    assert queue.left(1) == RemainingWork(untried=True)
    assert taken(queue, 1, 1) == [1]
    contacts.fresh.remove(1)
    assert queue.left(1) == RemainingWork(out_of_reach=True)
    assert queue.left(None) == queue.left(2) == RemainingWork(untried=True)


def test_samples_come_from_all_over_the_ledger():
    contacts = Contacts(fresh=set(range(100)))
    queue = SendQueue(contacts, SETTLE, 0.0)  # type: ignore[arg-type]
    chosen = [claim.contact.key for claim in queue.take(10, None, spread=True)]
    assert len(set(chosen)) == 10
    assert {key // 20 for key in chosen} == {0, 1, 2, 3, 4}
