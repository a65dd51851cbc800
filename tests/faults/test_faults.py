"""A small dose of every fault; `python -m tests.faults` gives the full one (docs/runs.md has its figures)."""

import signal

import pytest

from . import arrivals, corruptions, disks, inputs, kills, power
from .tiny import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    return Place(folder).prepare()


def check(*tallies):
    for tally in tallies:
        assert tally.good == tally.tried, "\n".join([str(tally), *tally.notes])
    return sum(tally.tried for tally in tallies)


def test_killed_runs_end_in_the_same_bytes(place):
    assert check(kills.kill_at_moments(place, 5), kills.kill_by_clock(place, 1)) == 6


def test_runs_told_to_stop_end_in_the_same_bytes(place):
    assert check(kills.kill_at_moments(place, 3, signal.SIGTERM)) == 3


def test_two_signals_of_a_queue_are_one_request(place):
    place.save_within_epochs(False)
    assert check(kills.told_twice(place, 2)) == 2
    place.save_within_epochs(True)


def test_power_cuts(place):
    assert check(power.cut_power(place, 4)) == 4


def test_broken_disks(place):
    assert check(*disks.break_disks(place, 8)) >= 6


def test_corrupted_files_are_refused_by_name(place):
    tallies = corruptions.corrupt(place, 70)
    assert check(*tallies) == 70
    assert all(tally.counts.get("detected") for tally in tallies)


def test_bad_inputs_are_one_line(place):
    assert check(*inputs.feed(place, 3 * len(inputs.KINDS))) > 2 * len(inputs.KINDS) > 16


def test_files_that_arrive_by_other_ways_are_never_taken_for_what_they_are_not(place):
    assert check(arrivals.arrive(place, len(arrivals.WAYS))) == 30
