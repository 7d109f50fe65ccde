"""The rounds of two machines in short; `python -m benchmarks.two_machines` plays hundreds."""

import pytest

from benchmarks.two_machines import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--dead 1 --frozen 0", "dead host: 1 of 1 rounds, 0 lost, 0 twice"),
        ("--dead 0 --frozen 1", "frozen host: 1 of 1 rounds, 0 lost, 0 twice"),
        ("--dead 0 --frozen 1 --no-fence", "frozen host: 1 of 1 rounds, contacts twice in 1"),
    ],
)
def test_a_round_of_each_kind(capsys, words, told):
    assert main([*words.split(), "--seed", "3"]) == 0
    assert told in capsys.readouterr().out
