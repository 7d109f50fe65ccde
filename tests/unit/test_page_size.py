"""How large a page is asked for, as a table of what came of each one."""

import threading

import pytest

from migrator.http.page_size import PageSize


def sizes(largest: int, outcomes: str) -> list[int]:
    """The size of each page that is asked for; of a course each letter is: `-` failed, `+` came."""
    size = PageSize(largest)
    asked = [size.rows]
    for came in outcomes:
        size.served(size.rows) if came == "+" else size.failed(size.rows)
        asked.append(size.rows)
    return asked


@pytest.mark.parametrize(
    ("largest", "outcomes", "asked"),
    [
        (100, "+++", [100, 100, 100, 100]),
        # One failure is bad luck, two in a row are not.
        (100, "-+-+", [100, 100, 100, 100, 100]),
        (100, "--+", [100, 100, 50, 100]),
        # What is too large is tried once more, and from then on no more.
        (100, "--+-+++", [100, 100, 50, 100, 50, 50, 50, 50]),
        # An outage leaves no small pages behind.
        (1000, "----++++", [1000, 1000, 500, 250, 125, 250, 500, 1000, 1000]),
        # A page of the middle may be too large as well, later.
        (100, "--+-+--+-+", [100, 100, 50, 100, 50, 50, 50, 25, 50, 25, 25]),
        # Down to ten and no further; where that fails too, it is not the size.
        (100, "------", [100, 100, 50, 25, 12, 10, 100]),
        (100, "--+-+-----", [100, 100, 50, 100, 50, 50, 50, 25, 12, 10, 50]),
        (10, "----", [10, 10, 10, 10, 10]),
    ],
)
def test_the_size_of_each_page(largest: int, outcomes: str, asked: list[int]) -> None:
    assert sizes(largest, outcomes) == asked


def test_what_another_thread_asked_for_earlier_says_nothing_of_the_size_of_now() -> None:
    size = PageSize(100)
    size.failed(100)
    size.failed(100)
    assert size.failed(100)  # it is smaller now all the same
    size.served(100)
    assert size.rows == 50


def test_threads_that_fail_together_do_not_halve_it_for_each_of_them() -> None:
    size = PageSize(100)
    size.failed(100)
    together = threading.Barrier(8)

    def fail() -> None:
        together.wait()
        size.failed(100)

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert size.rows == 50
