"""What a reader of a run's numbers must be warned of, read off its metrics: the same words in the run and in tables."""

import math

from lasnn.storage.files import Json

FAR = 10.0  # points of accuracy below its start, or below its best epoch, from which a training is said to have failed
SATURATED = 0.95  # spikes for each neuron and step
FROM_CONVERTED = ("converted", "calibrated")  # `spiking.init` of students that start as the network that was looked at


def from_converted(metrics: Json) -> bool:
    """Whether a network has the converted or calibrated one's weights and thresholds before training."""
    return ((metrics.get("settings") or {}).get("spiking") or {}).get("init", "converted") in FROM_CONVERTED


def start_of(metrics: Json) -> float | None:
    """Accuracy before training in percent, on images of the choices; None of a start that nothing looked at."""
    return (metrics.get("choices") or {}).get("start_accuracy") if from_converted(metrics) else None


def watched(metrics: Json) -> int:
    """How many of the images that judge a run its training log looked at, the first ones; 0 where nothing says it."""
    judged: int = metrics.get("data", {}).get("test_images", 0)
    return min((metrics.get("settings") or {}).get("data", {}).get("watched") or judged, judged)


def marks_of(metrics: Json) -> list[str]:
    """Warnings, worst first; none for a healthy run. Works on metrics of any age: what they lack is not judged.

    Start and end are compared on the same images, the training images of the automatic choices: on those its ANN
    lends the start what it has memorised, so the end's accuracy on new images would lie below it by that much. The best
    epoch is one of the images watched in training: where these are not all, it may lie higher by chance, three standard
    errors at most.
    """
    found, accuracy = [], metrics.get("accuracy")
    settings = metrics.get("settings") or {}
    trained = settings.get("training") and metrics.get("epochs")
    start, end = start_of(metrics), metrics.get("train_accuracy")
    if trained and start is not None and end is not None and end < start - FAR:
        found.append(f"training ended at {end:.1f} % of training images, its start had {start:.1f} %")
    best = metrics.get("accuracy_best_test")
    if best is not None:
        judged, images = metrics.get("data", {}).get("test_images", 0), watched(metrics)
        chance = 3 * math.sqrt(best * (100 - best) / images) if images < judged else 0.0
        if accuracy < best - FAR - chance:
            ended, had = (f" of {judged} images", f" of the first {images}") if chance else ("", "")
            found.append(f"training ended at {accuracy:.1f} %{ended}, its best epoch had {best:.1f} %{had}")
    steps = metrics.get("run", {}).get("steps")
    for name, layer in (metrics.get("spikes") or {}).items():
        if layer["total"] == 0:
            found.append(f"layer {name} is dead")
        elif steps and layer.get("per_neuron", 0) > SATURATED * steps:
            found.append(f"layer {name} is saturated")
    if metrics.get("teacher_weaker"):
        keys = ("teacher_accuracy", "ann_accuracy")
        teacher, ann = (f"({metrics[key]:.1f} %)" if metrics.get(key) else "" for key in keys)
        found.append(" ".join(f"its teacher {teacher} is weaker than its own ANN {ann}".split()))
    return found
