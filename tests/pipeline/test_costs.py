"""Which runs wait for one another, on a graph that can be reckoned by hand."""

import pytest
from tiny import config_with

from lasnn.pipeline.costs import idle_entries, longest_chain
from lasnn.plan.config import read
from lasnn.plan.runs import parse

ANN, TEACHER = parse("ann/digits/vgg5/base/s0"), parse("ann/digits/vgg16bn/base/s0")
CONVERTED = parse("converted/digits/vgg5/poisson/base/s0")
LASNN = parse("snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/base/s0")


@pytest.mark.parametrize(
    ("seconds", "longest", "chain"),
    [
        ({ANN: 1, TEACHER: 4, CONVERTED: 5, LASNN: 2}, 8, [ANN, CONVERTED, LASNN]),
        ({ANN: 1, TEACHER: 9, CONVERTED: 5, LASNN: 2}, 11, [TEACHER, LASNN]),
        ({ANN: 1, TEACHER: 9, LASNN: 2}, 11, [TEACHER, LASNN]),
        ({CONVERTED: 5, LASNN: 2}, 7, [CONVERTED, LASNN]),  # what is there already is not waited for
        ({TEACHER: 9, ANN: 1, CONVERTED: 5}, 9, [TEACHER]),
    ],
)
def test_the_longest_chain(seconds, longest, chain):
    assert longest_chain(read().preset("quick"), seconds) == (longest, chain)


def test_entries_that_mean_no_planned_run_are_named():
    """quick plans neither resnet12 nor spike KD, for which it has entries; of the others each means a run."""
    entry = {"student": {"epochs": 1}}
    entries = {"hybrid+poisson-T10": entry, "hybrid+poisson-T16": entry, "digits+direct": entry}
    preset = config_with(presets={"quick": {"for": entries}}).preset("quick")
    assert idle_entries(preset) == ["kd_spike", "resnet12", "hybrid+poisson-T16"]
