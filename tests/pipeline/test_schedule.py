"""A plan as a queue sees it, on graphs that can be reckoned by hand."""

import pytest

from lasnn.pipeline.schedule import Job, critical_path, jobs_of, wall_seconds
from lasnn.plan.config import read
from lasnn.plan.runs import parse
from lasnn.report import runs_of_target

DIAMOND = {"a": Job(1), "b": Job(5, ("a",)), "c": Job(2, ("a",)), "d": Job(1, ("b", "c"))}


@pytest.mark.parametrize(("at_once", "seconds"), [(1, 9), (2, 7), (9, 7)])
def test_a_diamond(at_once, seconds):
    assert wall_seconds(DIAMOND, at_once) == seconds


def test_its_critical_path():
    assert critical_path(DIAMOND) == (7, ["a", "b", "d"])


@pytest.mark.parametrize(("at_once", "seconds"), [(1, 12), (2, 6), (3, 5), (5, 5)])
def test_jobs_that_wait_for_nothing(at_once, seconds):
    """5, 4, 2, 1 in this order: on two 5 + 1 and 4 + 2, on three 5, 4, 2 + 1."""
    assert wall_seconds({str(cost): Job(cost) for cost in (5, 4, 2, 1)}, at_once) == seconds


def test_nothing_to_do():
    assert critical_path({}) == (0, [])
    assert wall_seconds({}, 3) == 0


def test_the_graph_of_a_preset():
    """Every run a second: as long as the longest chain of parents, and an exhibit after its runs."""
    preset = read().preset("quick")
    runs = runs_of_target(preset, "tables")
    jobs = jobs_of(preset, dict.fromkeys(runs, 1.0), {"table2": 1.0}, {"overview": 1.0, "energy": 1.0})
    assert wall_seconds(jobs, 1) == len(runs) + 3
    parts = ({"table2": 1.0}, {"overview": 1.0, "energy": 1.0})
    assert wall_seconds(jobs_of(preset, dict.fromkeys(runs, 1.0), *parts, each=0.5), 1) == 1.5 * (len(runs) + 3)
    lasnn = "snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/base/s0"
    assert set(jobs[lasnn].after) == {str(run) for run in preset.parents(parse(lasnn))}
    assert lasnn in jobs["table2"].after
    assert lasnn in jobs["notebook energy"].after
    assert jobs["notebook overview"].after == ("table2",)
    depth, chain = critical_path(jobs)
    assert depth == len(chain) == wall_seconds(jobs, 1000)
    assert chain[-2:] == ["table2", "notebook overview"]
    assert chain[0].startswith("ann/")
    finished = [run for run in runs if str(run) not in jobs[lasnn].after]
    assert jobs_of(preset, dict.fromkeys(finished, 1.0), {}, {})[lasnn].after == ()  # what is there is not waited for
