"""What each stage draws is keyed by the run's seed and by its purpose: written out, as kept results rest on it."""

import pytest
from worlds import NAMES, RUN, plan, world

from lasnn import seeding
from lasnn.plan.config import merged

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
