"""Weights of elsewhere: what is read, and what is refused in one line without being run."""

import io
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from tiny import message_of

from lasnn.storage import foreign

GOOD = {"b.weight": torch.ones(2, 3), "a.weight": torch.zeros(2), "a.num_batches_tracked": torch.tensor(3)}


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def test_a_zip_of_torch_keeps_its_order_and_double_precision_is_narrowed(tmp_path):
    found, ordered = foreign.read(saved(tmp_path / "net.pt", GOOD | {"c": torch.ones(1, dtype=torch.float64)}))
    assert ordered
    assert list(found) == [*GOOD, "c"]
    assert all(torch.equal(found[name], value) for name, value in GOOD.items())
    assert found["c"].dtype == torch.float32


@pytest.mark.parametrize(
    "content",
    [
        {"epoch": 3, "state_dict": GOOD},
        {"epoch": 3, "model_state_dict": GOOD, "optimizer_state_dict": {"state": {0: GOOD}, "param_groups": []}},
        {"net": GOOD, "acc": 93.4, "mean": torch.ones(3)},
        {"state_dict": {}, "anything": {"at all": GOOD, "step": 3}},
        {"model": GOOD | {"_extra_state": torch.ones(1)}, "metrics": {"accuracy": torch.tensor(93.4)}},
    ],
)
def test_the_one_state_dict_of_a_checkpoint_is_found(tmp_path, content):
    """Whatever it is called, beside other things or one level deeper."""
    assert list(foreign.read(saved(tmp_path / "net.pt", content))[0])[:3] == list(GOOD)


def test_safetensors_are_sorted_as_numbers(tmp_path):
    save_file({f"features.{index}.weight": torch.ones(1) for index in (10, 2, 0)}, tmp_path / "net.safetensors")
    found, ordered = foreign.read(tmp_path / "net.safetensors")
    assert not ordered
    assert list(found) == ["features.0.weight", "features.2.weight", "features.10.weight"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"a.weight": torch.tensor([1.0, float("nan")])}, "a.weight holds values that are not finite"),
        ({"a.weight": torch.ones(2, dtype=torch.float16)}, "a.weight is float16"),
        ({"a.weight": torch.ones(2, dtype=torch.bfloat16)}, "a.weight is bfloat16"),
        ({"a.weight": torch.eye(2).to_sparse()}, "not a dense tensor"),
        ({"a.weight": 3.0}, "no tensor"),
        ({3: torch.ones(1)}, "no tensor"),
        ([torch.ones(1)], "no state dict"),
        ({}, "no state dict"),
        ({"epoch": 3, "state_dict": {}}, "no tensor, and no entry is a state dict"),
        ({"model": GOOD, "ema": GOOD}, "holds several state dicts, ['model'], ['ema']: save the one that is meant"),
        ({"gan": {"g": GOOD, "d": GOOD}}, "`torch.save(torch.load('net.pt')['gan']['g'], FILE)`"),
        ({"a": Evil()}, "code in it is never run"),
        (torch.nn.Linear(2, 2), "code in it is never run"),
    ],
)
def test_what_is_no_state_dict_is_one_line(tmp_path, monkeypatch, content, told):
    monkeypatch.chdir(tmp_path)
    assert told in message_of(foreign.read, saved(tmp_path / "net.pt", content))
    assert not (tmp_path / "pwned").exists()


def test_other_files_are_one_line(tmp_path):
    old = io.BytesIO()
    torch.save(GOOD, old, _use_new_zipfile_serialization=False)
    whole = saved(tmp_path / "whole.pt", GOOD).read_bytes()
    files = {
        "empty.pt": b"",
        "old.pt": old.getvalue(),
        "pickle.pkl": pickle.dumps(Evil()),
        "cut.pt": whole[: len(whole) // 2],
        "length.safetensors": (10**9).to_bytes(8, "little") + b"{}",
        "header.safetensors": (3).to_bytes(8, "little") + b"{x}" + b"0" * 20,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "none.pt", "."):
        message_of(foreign.read, tmp_path / name)
