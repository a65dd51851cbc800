"""A small dose of every fault; `python -m tests.faults` gives the full one (docs/runs.md has its figures)."""

import pytest

from . import inputs
from .__main__ import FAULTS
from .tiny import Place

DOSES = {"kills": 5, "terms": 3, "twice": 2, "power": 4, "disks": 8, "corruptions": 70, "arrivals": 30}
TRIED = DOSES | {"kills": 7, "disks": 6}  # at least: half of the kills by the clock, too; what a system permits


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("faults")).prepare()


def tried(tallies):
    """How often, if all went as it should."""
    for tally in tallies:
        assert tally.good == tally.tried, "\n".join([str(tally), *tally.notes])
    return sum(tally.tried for tally in tallies)


@pytest.mark.parametrize("name", DOSES)
def test_a_run_ends_in_the_same_bytes_or_in_one_line(place, name):
    play, _ = FAULTS[name]
    tallies = play(place, DOSES[name])
    assert tried(tallies) >= TRIED[name]
    assert name != "corruptions" or all(tally.counts.get("detected") for tally in tallies)


def test_bad_inputs_are_one_line(place):
    assert tried(inputs.feed(place, 3 * len(inputs.KINDS))) > 2 * len(inputs.KINDS) > 16
