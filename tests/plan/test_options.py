"""Options that mean nothing for a run are refused in one line, before anything is made."""

import re

import pytest
from tiny import config_with, message_of

from lasnn.plan.runs import AnnRun, SnnRun


def quick(**overlay):
    return config_with(**overlay).preset("quick")


def run(method="hybrid", encoder="direct", variant="base", teacher="none", steps=4):
    return SnnRun("digits", "vgg5", method, encoder, steps, teacher, variant)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (run("conversion", variant="every_step"), r"spiking.loss is every_step, but .* trains nothing: leave it at"),
        (run("conversion", variant="train_offsets"), r"spiking.train_offsets is True, but .* trains nothing"),
        (run("conversion", variant="firing_penalty"), r"spiking.firing_penalty is 0.1, but .* trains nothing"),
        (run("conversion", variant="calibrated_start"), r"calibrated starts a training with direct input"),
        (run(encoder="poisson", variant="calibrated_start"), r"but .* has poisson input and method hybrid"),
        (run(variant="calibrated_start__scale_04"), r"spiking.scale: 0.4 and spiking.potential: 0: set scale 1"),
        (run(variant="calibrated_start__scale_search"), r"asks for spiking.scale: search"),
        (run("kd_spike", variant="every_step", steps=10), r"follows a chain of spiking readouts"),
    ],
)
def test_options_without_a_meaning_are_refused(asked, said):
    assert re.search(said, message_of(quick().check_names, asked))


def test_projections_take_statistics_of_whole_batches():
    """`compute.micro_batch` would be passed over without a word."""
    asked, ranged = (run(method, teacher="vgg16bn") for method in ("kd_features", "kd_saliency"))

    def preset(micro):
        return quick(presets={"quick": {"student": {"batch": 16}, "compute": {"micro_batch": micro}}})

    for micro in ("auto", 16):
        preset(micro).check_names(asked)
    said = message_of(preset(8).check_names, asked)
    assert re.search("compute.micro_batch is 8, but .* projects features through batch norm", said)
    single = quick(presets={"quick": {"student": {"batch": 1}}})
    assert re.search("student.batch is 1, but .* at least two images", message_of(single.check_names, asked))
    said = message_of(preset(8).check_names, ranged)
    assert re.search("micro_batch is 8, but .* least and a greatest value, which are of the whole batch: .* auto", said)


def test_adopted_weights_have_no_levels():
    adopted = {"quick/ann/digits/vgg5/base/s0": {"sha256": "0" * 64, "file": "adopted/weights.pt"}}
    preset = quick(adopted=adopted)
    preset.check_names(AnnRun("digits", "vgg5"))
    said = message_of(preset.check_names, AnnRun("digits", "vgg5", "quantised"))
    assert "were adopted and know no clips: leave network.levels at null" in said


def test_options_at_their_default_leave_no_trace():
    """So results from before them are of the same settings."""
    settings = quick().settings(run("lasnn_act", teacher="vgg16bn")).model_dump()
    assert not {"potential", "loss", "consistency", "firing_penalty", "train_offsets"} & set(settings["spiking"])
    assert not {"norm", "labels"} & set(settings["attention"])
    assert "levels" not in settings["network"]
    turned = quick().settings(run("lasnn_act", teacher="vgg16bn", variant="raw_map__every_step")).model_dump()
    assert (turned["attention"]["norm"], turned["spiking"]["loss"]) == ("none", "every_step")
