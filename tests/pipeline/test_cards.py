"""A card for each training: counted, taken by a lock that ends with its process, and no more trainings than cards."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from tiny import TINY, done, write_yaml

from lasnn import cards
from lasnn.pipeline import needs
from lasnn.plan.config import read, whole
from lasnn.plan.runs import parse

DOUBLE = Path(__file__).parents[1] / "doubles" / "cards"
TAKE = """
import os, sys
from lasnn import cards
taken = cards.take()
assert taken is None or os.environ["CUDA_VISIBLE_DEVICES"] == taken  # it hides the others
print(taken, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """machine(4): this machine has four cards, as nvidia-smi tells."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{DOUBLE}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # of the locks
    return lambda count: monkeypatch.setenv("CARDS", str(count))


@pytest.fixture
def trainings():
    """trainings(): a process that takes a card and holds it until its input is closed; and what it took."""
    started = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", TAKE], stdin=-1, stdout=-1, text=True)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, None, []),
        (2, None, [("GPU-0", "GPU-0"), ("GPU-1", "GPU-1")]),
        (4, "1,3", [("1", "GPU-1"), ("3", "GPU-3")]),
        (2, "0,5,1", [("0", "GPU-0")]),  # there is no sixth: CUDA sees none from there on
        (2, "GPU-1", [("GPU-1", "GPU-1")]),
        (2, "", []),
        (2, "-1", []),
    ],
)
def test_visible_cards(machine, monkeypatch, count, words, expected):
    machine(count)
    if words is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", words)
    assert cards.visible() == expected
    assert cards.total() == max(1, len(expected))


def test_each_training_takes_a_card_of_its_own_and_leaves_it_however_it_ends(machine, trainings):
    machine(3)
    first, second, third = (trainings() for _ in range(3))
    assert {card for _, card in (first, second, third)} == {"GPU-0", "GPU-1", "GPU-2"}
    second[0].kill()
    second[0].wait()
    assert trainings()[1] == second[1]


def test_more_trainings_than_cards_share_evenly(machine, trainings):
    machine(2)
    assert sorted(trainings()[1] for _ in range(6)) == sorted(["GPU-0", "GPU-1"] * 3)


def test_where_one_card_is_visible_there_is_nothing_to_choose(machine, trainings, monkeypatch):
    """As on a node of a cluster; the card counts as taken for all that could choose."""
    machine(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert trainings()[1] == "None"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert trainings()[1] == "GPU-1"


def test_the_profile_lets_one_training_run_on_each_card(machine, copy_of_project):
    """Four cores, two cards, three trainings ready at once: never two on a card, never three at a time."""
    machine(2)
    folder = copy_of_project
    content = whole(folder / "config.yaml") | {"preset": "tiny", "presets": {"tiny": TINY}}
    write_yaml(folder / "config.yaml", content)
    runs = [folder / f"results/tiny/ann/digits/{name}/base/s0" for name in ("conv3fc2", "vgg5", "resnet12")]
    done(folder, "--cores", 4, *(f"{run.relative_to(folder)}/model.pt" for run in runs))
    intervals = []
    for run in runs:
        cost = json.loads((run / "provenance.json").read_text())
        start = datetime.fromisoformat(cost["started"]).timestamp()
        (line,) = [line for line in (run / "console.log").read_text().splitlines() if "takes card" in line]
        intervals.append((line.rpartition(" ")[2], start, start + cost["seconds"]))
    assert {card for card, _, _ in intervals} == {"GPU-0", "GPU-1"}
    (card,) = {card for card, _, _ in intervals if [other for other, _, _ in intervals].count(card) == 2}
    (_, end), (start, _) = sorted((start, end) for other, start, end in intervals if other == card)
    assert end <= start + 1  # the start is kept to the second


def test_memory_of_a_run_is_above_what_kept_runs_took():
    """Peaks of the processes of the preset `small`, on a CPU."""
    preset, compared = read().preset("small"), 0
    for path in Path("results/reference/small").glob("**/provenance.json"):
        kept = json.loads(path.read_text())
        asked = needs.memory_mb(preset, parse(kept["run"]["path"]), on_card=False)
        assert kept["peak_memory_bytes"] / 1e6 < asked < 6 * kept["peak_memory_bytes"] / 1e6, path
        compared += 1
    assert compared > 80
