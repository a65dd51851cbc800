"""Synaptic operations, energy and the four spike averages, by hand and against brute force."""

import pytest
import torch

from lasnn.datasets.batches import Images
from lasnn.networks import build, census
from lasnn.networks.layers import Conv
from lasnn.networks.residual import Block
from lasnn.plan.cells import Energy
from lasnn.plan.vocabulary import ENCODERS, Encoder
from lasnn.results.energy import ann_joules, averages, snn_joules
from lasnn.spiking import encoders
from lasnn.spiking.conversion import set_thresholds, spiking
from lasnn.spiking.evaluation import INPUT, evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.operations import _met, fan_outs, first_macs, operations

ENERGY = Energy(mac_pj=4.6, ac_pj=0.9, batch=16)


def network(name: str = "vgg5", side: int = 16):
    net = spiking(build(name, 10, side, width=0.125, fc=8), Dynamics()).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0.05, 0.2, generator=generator)
    return net


@pytest.mark.parametrize(("side", "stride", "kernel"), [(4, 1, 3), (4, 2, 3), (5, 2, 3), (5, 2, 1), (6, 1, 5)])
def test_a_spike_meets_as_many_weights_as_change_an_output(side, stride, kernel):
    conv = Conv(2, 3, kernel, stride)
    with torch.no_grad():
        conv.weight.fill_(1)
    met = _met([conv], (2, side, side), torch.device("cpu"))
    for row in range(side):
        for column in range(side):
            one = torch.zeros(1, 1, 2, side, side)
            one[0, 0, 1, row, column] = 1
            assert met[1, row, column] == conv(one).sum().item()


def test_fan_outs_of_vgg5_by_hand():
    met = fan_outs(network("vgg5"))  # 16x16, channels 8, 16, 16, hidden 8, 8
    inside, corner = met[INPUT][0, 8, 8], met[INPUT][0, 0, 0]
    assert (inside, corner) == (9 * 8, 4 * 8)
    # Through the pool, c1's spikes meet the 3x3 kernels of c2 at half the side: four of them share one fate.
    assert met["c1"].shape == (8, 16, 16)
    assert (met["c1"][0, 8, 8], met["c1"][0, 0, 0], met["c1"][0, 1, 1]) == (9 * 16, 4 * 16, 4 * 16)
    assert met["c2"][0, 4, 4] == 9 * 16
    assert met["c3"].unique().tolist() == [8]  # pooled, flattened, then 8 hidden units
    assert met["f1"].unique().tolist() == [8]
    assert met["f2"].unique().tolist() == [10]  # the readout


def test_both_branches_of_a_block_count_and_the_identity_is_one():
    net = network("resnet12")
    blocks = [layer for layer in net.layers.values() if isinstance(layer, Block)]
    met = fan_outs(net)
    assert isinstance(blocks[0].shortcut, torch.nn.Identity)
    assert met["p3"].max() == 9 * 8 + 1  # identity shortcut of the first block
    assert met["b1.inner"].max() == 9 * 8
    # The second block halves the side: even rows and columns lie in one window of the 3x3 and one of the 1x1 kernels.
    assert met["b1"][0, 2, 2] == 1 * 16 + 16
    assert met["b1"][0, 1, 1] == 4 * 16


def test_operations_are_counts_times_fan_out():
    net = network()
    set_thresholds(net, [0.05] * 5)
    pixels = torch.randint(0, 256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    images = Images(pixels, torch.tensor([0, 1, 2]), torch.arange(3))
    seen = evaluate(net, images, "poisson", 6)
    found, met = operations(net, seen), fan_outs(net)
    assert found["synops_by_layer"].keys() == {INPUT, *seen.spikes}
    assert found["synops_by_layer"]["f2"] == pytest.approx(10 * seen.spikes["f2"].total / 3)
    assert found["synops"] == pytest.approx(sum((seen.counts[name] * met[name]).sum().item() for name in met) / 3)
    assert found["encoder_spikes"] <= 6 * 3 * 16 * 16
    assert found["macs"] == census(net).macs
    assert found["macs_first"] == first_macs(net) == 16 * 16 * 8 * 27
    assert seen.spikes["c1"].total == seen.counts["c1"].sum()


@pytest.fixture
def dithered(monkeypatch):
    """An analog encoder of one's own, drawn anew in every step."""
    monkeypatch.setitem(ENCODERS, "dithered", Encoder("analog with noise", analog=True))
    monkeypatch.setitem(encoders.ENCODERS, "dithered", lambda x, steps, noise: x + noise(steps, x.shape) - 0.5)


@pytest.mark.parametrize(
    ("encoder", "grey", "spikes"),
    # black, x = -1: the signed rate code sends -1 in each of 5 steps from 3 x 16 x 16 inputs
    [("poisson", 0, 5 * 3 * 16 * 16), ("direct", 200, 0), ("dithered", 200, 0)],
)
def test_spikes_of_either_sign_are_counted_and_analog_input_sends_none(dithered, encoder, grey, spikes):
    images = Images(torch.full((2, 3, 16, 16), grey, dtype=torch.uint8), torch.tensor([0, 1]), torch.arange(2))
    found = operations(network(), evaluate(network(), images, encoder, 5))
    assert (INPUT in found["synops_by_layer"]) == (spikes > 0)
    assert found["encoder_spikes"] == spikes


def test_an_analog_encoder_of_ones_own_has_no_gain(dithered):
    """Its mean is the image."""
    x, noise = torch.full((1, 3, 2, 2), 0.25), encoders.image_noise(0, [0], torch.device("cpu"))
    one, other = encoders.encode("dithered", x, 2, noise, gain=2)
    assert not torch.equal(one, other)
    assert one.min() >= -0.25
    assert torch.equal(encoders.mean_input("dithered", x, gain=2), x)
    assert torch.equal(encoders.mean_input("direct", x, gain=2), x)
    assert torch.equal(encoders.mean_input("poisson", -x, gain=2), -2 * x)
    assert torch.equal(encoders.mean_input("poisson_unsigned", -x, gain=2), 0 * x)


def test_energy_by_hand(dithered):
    """An analog input is multiplied once, or in every step where it is another in each; spikes are added."""
    counts = {"synops": 1000.0, "macs": 500, "macs_first": 100}
    assert ann_joules(counts, ENERGY) == pytest.approx(2300e-12)
    assert snn_joules(counts, "poisson", 4, ENERGY) == pytest.approx(900e-12)
    assert snn_joules(counts, "poisson", 4, ENERGY, each=True) == pytest.approx(900e-12)
    assert snn_joules(counts, "direct", 4, ENERGY) == pytest.approx((900 + 460) * 1e-12)
    assert snn_joules(counts, "direct", 4, ENERGY, each=True) == pytest.approx((900 + 4 * 460) * 1e-12)
    assert snn_joules(counts, "dithered", 4, ENERGY) == pytest.approx((900 + 4 * 460) * 1e-12)


def test_the_four_averages_by_hand():
    spikes = {"a": {"total": 60, "neurons": 10, "images": 2}, "b": {"total": 20, "neurons": 2, "images": 2}}
    found = averages(spikes, batch=16)
    assert found.by_layer == {"a": 3.0, "b": 5.0}
    assert found.network == pytest.approx(80 / (2 * 12))
    assert found.layers_added == 8.0
    assert found.batch_added == pytest.approx(16 * 80 / 24)
    assert found.per_image == 40
