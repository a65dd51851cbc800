"""Benchmarks: the floor does the network's work and no more, peers compute what we compute, the command runs."""

import csv
import gc
import statistics

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.case import Case, prepare
from benchmarks.equality import check
from benchmarks.floor import Floor, kernels
from benchmarks.implementations import PEERS, kind
from benchmarks.measure import by_turns, summary
from benchmarks.ours import Ours
from benchmarks.parts import parts_rows
from lasnn.compiled import library, products
from lasnn.errors import InputError
from lasnn.networks import build, census
from lasnn.plan.vocabulary import STUDENTS
from lasnn.spiking.kernels.compiled_scan import Scan as CompiledScan

torch.set_num_threads(1)  # the tests' tensors are tiny: threads would only wait for each other

NETWORKS = ("vgg5", "vgg9", "resnet12")
WIDTH = 0.25


@pytest.fixture(autouse=True, scope="module")
def frozen():
    """What other tests left is none of the garbage that each measurement collects first: it would take seconds."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", STUDENTS)
def test_floor_does_the_multiplications_of_the_network(name):
    net = build(name, 10, 32, width=WIDTH, fc=64)
    found = kernels(net)
    assert sum(kernel.macs for kernel in found) == census(net).macs
    assert [kernel.first for kernel in found] == [True] + [False] * (len(found) - 1)
    assert [kernel.once for kernel in found] == [False] * (len(found) - 1) + [True]


@pytest.mark.parametrize("index", [0, 4, -1])  # the first convolution, one with stride 2, the readout
def test_floor_kernels_give_the_gradients_of_autograd(index):
    floor = Floor(prepare(Case("resnet12", 2, 2, WIDTH)))
    kernel = floor.kernels[index]
    x, gradient = floor._input(kernel, 4).clone().requires_grad_(not kernel.first), floor._gradient(kernel, 4)
    kernel.weight.requires_grad_()
    wanted = [kernel.weight] if kernel.first else [x, kernel.weight]
    expected = torch.autograd.grad(kernel.forward(x), wanted, gradient)
    with torch.no_grad():
        found = kernel.backward(x, gradient)
    assert (found[0] is None) == kernel.first
    for a, b in zip(found[-len(wanted) :], expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_computes_what_we_compute_and_is_not_timed_if_its_threshold_is_another(name):
    pytest.importorskip(name)
    for network in NETWORKS:
        ours = Ours(prepare(Case(network, 2, 2, WIDTH, fc=64)))
        for variant in kind(name).variants:
            assert check(kind(name)(ours.subject, variant), ours).close
    peer = kind(name)(ours.subject)
    for neuron in (module for module in ours.subject.net.modules() if hasattr(module, "threshold")):
        neuron.threshold.mul_(1.5)
    with pytest.raises(InputError, match="not timed"):
        check(peer, ours)


def test_every_call_has_its_turn():
    seen = []
    times = by_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3, "cpu")
    assert "".join(seen) == "ab" + "ab" + "ba" + "ab"
    row = summary([3.0, 1.0, 2.0], [1.0, 1.0, 4.0], None)
    assert (row["median_s"], row["min_s"], row["max_s"], row["ratio_to_floor"]) == (2, 1, 3, 2)
    assert [len(value) for value in times.values()] == [3, 3]


COMMAND = f"--rounds 2 --threads 1 --width {WIDTH}"


def rows_of(folder, what, words):
    """What the command writes."""
    threads = torch.get_num_threads()
    try:
        assert main(["--what", what, *words.split(), *COMMAND.split(), "--out", str(folder)]) == 0
    finally:
        torch.set_num_threads(threads)
    return list(csv.DictReader((folder / f"{what}.csv").open()))


@pytest.mark.parametrize("what", ["training", "inference", "memory"])
def test_the_command_runs(what, tmp_path):
    words = "--networks conv3fc2 --steps 2 --batch 2 --images 2 --implementations ours floor"
    rows = rows_of(tmp_path, what, words)
    assert {row["implementation"] for row in rows} == ({"ours"} if what == "memory" else {"ours", "floor"})
    assert all(row["hardware"] and row["torch"] and row["threads"] == "1" for row in rows)
    for row in rows:
        times = [float(value) for value in row["times_s"].split()]
        assert float(row["median_s"]) == pytest.approx(statistics.median(times), abs=1e-4)


def test_the_loops_give_what_the_torch_scan_gives(tmp_path):
    rows = rows_of(tmp_path, "exactness", "--networks vgg5 --steps 8 --batch 4 --fc 64")
    assert len(rows) == 6
    for row in rows:
        if row["weights"] == "on the grid":
            assert float(row["differs_spikes"]) == 0
            assert float(row["differs_logits"]) < 1e-6
            assert float(row["differs_gradients"]) < 1e-5


@pytest.mark.skipif(library() is None, reason="without the loops there are no parts to be told apart")
def test_all_time_of_a_step_belongs_to_a_part():
    before = CompiledScan.forward, products.PRECISIONS["off"], products.SMALL
    rows = parts_rows(Case("vgg5", 2, 2, WIDTH, fc=64), rounds=2)
    assert (CompiledScan.forward, products.PRECISIONS["off"], products.SMALL) == before
    assert sum(row["share"] or 0 for row in rows) == pytest.approx(1)
    kinds = {row["kind"] for row in rows}
    assert {"Adam", "Poisson input", "scan with pools and masks, backward", "convolutions, dense forward"} <= kinds
    assert all(row["ms"] >= 0 for row in rows)


def test_a_round_of_distillation(tmp_path):
    words = "--networks vgg5 --steps 2 --batch 2 --images 4 --micro-batch 1 --fc 64"
    (row,) = rows_of(tmp_path, "distillation", words)
    assert (row["amp"], row["teacher"], row["micro_batch"], row["images"]) == ("off", "vgg16bn", "1", "4")
    assert float(row["images_per_s"]) == pytest.approx(4 / float(row["median_s"]))
    assert float(row["epoch_s"]) == pytest.approx(50_000 / float(row["images_per_s"]))
    assert float(row["step_s"]) == pytest.approx(float(row["median_s"]) / 2)
