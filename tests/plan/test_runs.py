"""A run is a value: its path, its names, and the way back."""

import json
from dataclasses import replace

import pytest

from lasnn.errors import InputError
from lasnn.plan.config import dump, merged, read
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun, changes, parse, split
from lasnn.report import runs_of_target

EXAMPLES = {
    "ann/cifar10/vgg16bn/base/s0": AnnRun("cifar10", "vgg16bn"),
    "converted/digits/vgg5/direct/scratch/s12": ConvertedRun("digits", "vgg5", "direct", "scratch", 12),
    "snn/cifar10/vgg5/lasnn_act/poisson-T100/vgg16bn/base/s0": SnnRun(
        "cifar10", "vgg5", "lasnn_act", "poisson", 100, "vgg16bn"
    ),
    "snn/cifar10/vgg5/hybrid/direct-T8/none/alpha01/s3": SnnRun(
        "cifar10", "vgg5", "hybrid", "direct", 8, variant="alpha01", seed=3
    ),
}


def test_a_run_prints_its_path_and_parses_it_back():
    """Its id leaves out what every run shares; the configuration means it by names, of teacher, variant, seed none."""
    for path, run in EXAMPLES.items():
        assert str(run) == path
        assert parse(path) == run
    run = SnnRun("cifar10", "vgg5", "lasnn_act", "poisson", 100, "vgg16bn", "alpha01", 1)
    assert run.names == {"cifar10", "vgg5", "lasnn_act", "poisson", "poisson-T100"}
    assert replace(run, variant="base").id == "cifar10-vgg5-lasnn_act-poisson-T100-vgg16bn-s1"
    assert AnnRun("digits", "vgg5").id == "ann-digits-vgg5-s0"


@pytest.mark.parametrize("preset", ["paper", "small", "quick"])
def test_every_planned_run_parses_back(preset):
    preset = read().preset(preset)
    runs = runs_of_target(preset, "all")
    assert len(runs) > 10
    for run in runs:
        assert parse(str(run)) == run
        preset.check_names(run)
        assert split(preset.folder(run)) == (preset.root, run)


@pytest.mark.parametrize(
    "path",
    [
        "ann/cifar10/vgg5/base/s01",  # a number has one spelling
        "ann/cifar10/vgg5/base/s-1",
        "ann/cifar10/vgg5/s0",
        "ann/CIFAR10/vgg5/base/s0",
        "snn/cifar10/vgg5/hybrid/poisson/none/base/s0",
        "ann/../vgg5/base/s0",
        "",
    ],
)
def test_other_paths_are_refused_with_the_patterns(path):
    with pytest.raises(InputError, match=r"snn/\{dataset\}/\{student\}"):
        parse(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"revision": SnnRun.REVISION - 1}, [f"revision: {SnnRun.REVISION - 1} then, {SnnRun.REVISION} now"]),
        ({"revision": None}, [f"revision: None then, {SnnRun.REVISION} now"]),
        ({"data": {"flip": True}}, ["data.flip: True then, False now"]),
        ({"data": {"shear": 0}}, ["data.shear: 0 then, 'absent' now"]),
        ({"older": {"key": None}}, ["older.key: None then, 'absent' now"]),
    ],
)
def test_a_setting_of_another_value_or_that_only_one_has_is_a_difference(changed, told):
    preset, run = read().preset("quick"), SnnRun("digits", "vgg5", "hybrid", "poisson", 10)
    assert changes(preset, run, merged(json.loads(dump(preset.settings(run))), changed)) == told
    made_with = json.loads(dump(preset.settings(run)))
    del made_with["data"]["flip"]
    assert changes(preset, run, made_with) == ["data.flip: 'absent' then, False now"]
