"""The table of states and moves, spelt out a second time: whoever changes it must mean it."""

from itertools import product

import pytest

from migrator.states import MOVES, Hold, Outcome, State, WriteKind

LEGAL = {
    ("extracted", "mapped"),
    ("mapped", "extracted"),
    ("mapped", "posted"),
    ("posted", "verified"),
    ("posted", "mapped"),
    ("verified", "mapped"),
    ("verified", "posted"),
}


@pytest.mark.parametrize(("source", "target"), list(product(State, State)))
def test_the_table_says_yes_to_seven_of_sixteen_pairs(source: State, target: State) -> None:
    assert ((source, target) in MOVES) is ((source.value, target.value) in LEGAL)


def test_there_are_four_states_in_the_order_of_the_journey() -> None:
    assert [state.value for state in State] == ["extracted", "mapped", "posted", "verified"]


def test_the_table_names_states_only_and_nobody_can_add_to_it() -> None:
    assert isinstance(MOVES, frozenset)
    assert all(isinstance(end, State) for pair in MOVES for end in pair)


def test_no_state_moves_to_itself() -> None:
    assert not any(source is target for source, target in MOVES)


def test_every_state_is_reached_from_the_first_one() -> None:
    reached = {State.EXTRACTED}
    for _ in State:
        reached |= {target for source, target in MOVES if source in reached}
    assert reached == set(State)


def test_a_contact_leaves_the_last_state_to_be_sent_or_verified_again() -> None:
    left_for = {target for source, target in MOVES if source is State.VERIFIED}
    assert left_for == {State.MAPPED, State.POSTED}


def test_no_step_forward_is_skipped() -> None:
    order = list(State)
    steps = {order.index(target) - order.index(source) for source, target in MOVES}
    assert max(steps) == 1


@pytest.mark.parametrize("words", [State, WriteKind, Outcome, Hold])
def test_a_word_is_its_own_text_in_json_sql_and_print(words: type[State]) -> None:
    for word in words:
        assert f"{word}" == word.value == word.name.lower()


def test_an_unknown_word_is_no_state() -> None:
    with pytest.raises(ValueError, match="in_doubt"):
        State("in_doubt")
