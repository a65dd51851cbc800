"""Which images each step may look at: training, held-out and test images are marked, and every look is recorded.

Learning sees training images alone; choices and the training accuracy the held-out ones among them; test images judge,
and the training's log watches them. So other test images leave every weight, threshold and choice as it is.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import NAMES, RUN, TRAINED, differing, images, plan, world

from lasnn import seeding
from lasnn.datasets.batches import scaled
from lasnn.plan.config import merged

PLAIN = {
    "data": {"crop_padding": 0, "flip": False, "watched": 4},
    "choices": {"images": 5},
    "calibration": {"form": "advanced_weights"},
}
EVERYTHING = ("ANN", "TEACHER", "CONVERTED", "DIRECT", "CONVERSION", *TRAINED, "CALIBRATED")
WORLDS = {
    "base": ({}, EVERYTHING),
    "automatic": ({"spiking": {"scale": "search", "logit_scale": "auto", "leak_guard": 2.0}}, ("CONVERSION", "HYBRID")),
    "normalised": ({"balancing": {"norm": "max"}}, ("CONVERTED",)),
    "by_share": ({"attention": {"share": 0.5}}, ("ACT", "GRAD")),
}


def marked(prefix, count, start=0):
    return {f"{prefix}{index}" for index in range(start, start + count)}


def looked_at(name, overlay):
    """Names of the images that a run's networks saw: while one of them was learning, and else. For direct input."""
    pixels = {"train": images().train_images, "test": images().test_images}
    known = {
        scaled(torch.from_numpy(one[None])).numpy().tobytes(): f"{split}{index}"
        for split, all_of_them in pixels.items()
        for index, one in enumerate(all_of_them)
    }
    seen = {True: set(), False: set()}

    def note(module, inputs):
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 3:
            rows = inputs[0][0].detach().contiguous(memory_format=torch.channels_last)
            rows = (row[None].numpy() for row in rows if row.any())  # black ones count a network's neurons
            seen[module.training].update(known[row.tobytes()] for row in rows)

    base = world(overlay)
    for parent in base.plan.parents(RUN[name]):
        base.found(NAMES[parent])
    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        base.changed(name, base.plan)
    finally:
        handle.remove()
    return seen[True], seen[False]


@pytest.mark.parametrize("assess", ["test", "held_out"])
def test_every_look_at_an_image(assess):
    """24 of 36 training images, of which 8 are held out, and 10 of 14 test images; 4 of these are watched, 8 in curves.

    The first 5 held-out ones decide what is chosen. Where held-out images judge, training has 16 and holds out 8.
    """
    overlay = merged(PLAIN, {"data": {"assess": assess}})
    learning, judging = marked("train", 24 if assess == "test" else 16), marked("test", 10)
    choosing, shown = marked("train", 5, 16), marked("test", 8)
    if assess == "held_out":
        judging = shown = marked("train", 8, 16)
        choosing = marked("train", 5, 8)
    assert looked_at("ANN", overlay) == looked_at("TEACHER", overlay) == (learning, judging)
    assert looked_at("HYBRID_DIRECT", overlay) == (learning, choosing | judging)
    for name, others in (("DIRECT", shown), ("CALIBRATED", judging)):
        learned, looked = looked_at(name, overlay)
        assert not learned
        assert looked - learning == others
        assert len(looked & learning) > 5


@pytest.mark.parametrize(("where", "name"), [(where, name) for where, (_, names) in WORLDS.items() for name in names])
def test_other_test_images_change_what_is_judged_alone(where, name):
    """And what the training's log watches; the share of the gradient that it notes is of watched images."""
    base, other = world(WORLDS[where][0]), with_noise(test=range(14))
    noted = {"watched"} if name in ("ANN", "TEACHER", *TRAINED) else set()
    noted |= {"share"} if name in ("ACT", "GRAD") else set()
    assert differing(base.found(name), base.changed(name, base.plan, other)) == {"judged"} | noted


HELD_OUT = {"data": {"assess": "held_out"}}


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize(
    ("overlay", "which", "may"),
    [
        ({}, {"train": range(24, 36), "test": range(10, 14)}, set()),  # beyond those asked for
        (HELD_OUT, {"test": range(14)}, set()),
        # the last 8 of the 24 change what is judged and watched, and no choice: that looks at the 8 before
        (HELD_OUT, {"train": range(16, 24)}, {"judged", "watched", "share"}),
    ],
    ids=["beyond", "test", "held_out"],
)
def test_images_that_are_not_learned_from_teach_nothing(name, overlay, which, may):
    base = world(overlay)
    found = differing(base.found(name), base.changed(name, base.plan, with_noise(**which)))
    assert may & {"judged"} <= found <= may


@pytest.mark.parametrize(
    ("which", "changed"), [(range(16), set()), (range(21, 24), set()), (range(16, 21), {"choices"})]
)
def test_choices_look_at_the_first_held_out_images_alone(which, changed):
    """Of a network that is merely converted training images decide nothing else."""
    base = world({"choices": {"images": 5}})
    found = base.found("CONVERSION"), base.changed("CONVERSION", base.plan, with_noise(train=which))
    assert differing(*found) == changed


def with_noise(**which):
    """The images with noise, and other labels, in place of these of train and test."""
    changed = {}
    for split, places in which.items():
        labels, draws = getattr(images(), f"{split}_labels"), np.random.default_rng(1)
        pixels = draws.integers(0, 256, (len(labels), 3, 8, 8)).astype(np.uint8)
        fresh = {f"{split}_images": pixels, f"{split}_labels": draws.integers(0, 4, len(labels))}
        for key, value in fresh.items():
            changed[key] = getattr(images(), key).copy()
            changed[key][list(places)] = value[list(places)]
    return replace(images(), **changed)


# ---- what each stage draws is keyed by the run's seed and by its purpose: written out, as kept results rest on it ----

EPOCHS = {"student": {"epochs": 2}, "ann": {"epochs": 1, "batch": 12}, "teacher": {"epochs": 1}}
SCRATCH = {"spiking": {"init": "scratch"}, "network": {"dropout_scale": 1.0}}
WEIGHTS = {"calibration": {"form": "advanced_weights", "batches": 2}}
BALANCING = [
    "7/balancing/0",
    "(7/balancing/0)/shuffle/0",
    "(7/balancing/0)/augmentation/0/0",
    "(7/balancing/0)/encoder",
]
TRAINING = ["7/shuffle/0", "7/augmentation/0/0", "7/encoder/0/0", "7/shuffle/1", "7/augmentation/1/0", "7/encoder/1/0"]
MASKS = [f"7/dropout layers.{layer}.between.0/{epoch}/0" for layer in ("c2", "f1", "f2") for epoch in (0, 1)]
PURPOSES = (0, 1, "weights", "correction")
DRAWS = [
    ("ANN", {}, ["7/initial weights/vgg5", "7/shuffle/0", "7/augmentation/0/0", "7/augmentation/0/1"]),
    ("TEACHER", {}, ["7/initial weights/vgg16bn", "7/shuffle/0", "7/augmentation/0/0"]),
    ("CONVERTED", {"balancing": {"batches": 2}}, BALANCING + [words.replace("ing/0", "ing/1") for words in BALANCING]),
    ("DIRECT", {"balancing": {"norm": "max"}}, BALANCING[:3]),
    ("CONVERSION", {}, []),
    ("HYBRID", {}, TRAINING),
    (
        "HYBRID",
        SCRATCH,
        [*TRAINING, *MASKS, "7/scratch weights/vgg5"],
    ),  # a mask for each layer and batch
    ("ACT", {}, TRAINING),
    ("HYBRID_DIRECT", {}, TRAINING),
    ("HEAD", {}, [*BALANCING, *TRAINING]),
    (
        "CALIBRATED",
        WEIGHTS,
        [
            *(f"7/calibration/{purpose}" for purpose in PURPOSES),
            *(f"(7/calibration/{purpose})/{of}/0" for purpose in PURPOSES for of in ("shuffle", "augmentation/0")),
            *(f"7/calibration weights/{layer}" for layer in ("c1", "c2", "c3", "f1", "f2")),
        ],
    ),
]


@pytest.mark.parametrize(("name", "overlay", "expected"), DRAWS)
def test_draws_of_a_stage(monkeypatch, name, overlay, expected):
    """The words of every key that the run with seed 7 makes; a key within another is in brackets.

    Beside the noise of each image in evaluation, which no seed of a run is in: only that of the evaluation.
    """
    overlay, plain, known, seen = merged(EPOCHS, overlay), seeding.key, {}, set()
    base = world(overlay)
    for parent in base.plan.parents(RUN[name]):
        base.found(NAMES[parent])

    def key(*words):
        text = "/".join(known.get(word, str(word)) for word in words)
        known[plain(*words)] = f"({text})"
        seen.add(text)
        return plain(*words)

    monkeypatch.setattr(seeding, "key", key)
    base.changed(name, plan(overlay), seed=7)
    noise = {words for words in seen if "evaluation encoder" in words}
    assert seen - noise == set(expected)
    of_images = {f"{seed}/evaluation encoder/{image}" for seed in (0, 1) for image in range(10)}
    spiking_input = "poisson" in str(RUN[name])
    assert noise <= (of_images if spiking_input else set())
    if name in ("HYBRID", "ACT", "HEAD", "CONVERSION"):
        assert noise == of_images
    if name == "CONVERTED":
        assert noise == {f"0/evaluation encoder/{image}" for image in range(8)}
