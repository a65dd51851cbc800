"""Spikes as bits: every path gives them back, in memory and from the file."""

import pytest
import torch

from lasnn.spiking import packed_spikes

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]),
]


def spikes(*shape, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def test_bytes_by_hand():
    row = torch.tensor([1.0, 0, 0, 0, 0, 0, 1, 1, 0, 1])
    assert packed_spikes.pack(row).tolist() == packed_spikes.pack_by_torch(row > 0).tolist() == [0b10000011, 0b01000000]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(1,), (8,), (3, 5, 7), (2, 3, 4, 4, 8)])
def test_both_ways_give_the_spikes_back(shape, device):
    x = spikes(*shape).to(device)
    packed = packed_spikes.pack(x)
    assert packed.dtype == torch.uint8
    assert packed.numel() == -(-x.numel() // 8)
    assert torch.equal(packed, packed_spikes.pack_by_torch(x.reshape(-1) > 0))
    for found in (packed_spikes.unpack(packed, x.shape), packed_spikes.unpack_by_torch(packed, x.shape)):
        assert found.dtype == torch.float32
        assert torch.equal(found, x)


@pytest.mark.parametrize("in_memory", [0, 12, 1000])
def test_a_store_is_read_again_from_memory_and_file(in_memory):
    """What stays in memory lies together: pieces of their own would pin the large blocks between which they lie."""
    store, given = packed_spikes.SpikeStore(in_memory), [spikes(2, 3, 9, seed=n) for n in range(3)]
    for x in given:
        store.add(x)
    assert store.bytes == 3 * 7
    assert (store.file is None) == (in_memory == 1000)
    for _ in range(2):
        assert all(torch.equal(x, y) for x, y in zip(store, given, strict=True))
    if in_memory == 1000:
        places = [packed.data_ptr() for packed, _, _ in store.entries]
        assert [place - places[0] for place in places] == [0, 7, 14]
