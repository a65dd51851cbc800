"""Checkpoints and other files: whole or absent, the same bytes for the same content, refused when damaged."""

import os
import pickle

import numpy as np
import pytest
import torch

from lasnn.errors import InputError
from lasnn.storage import checkpoint, files


def test_equal_content_gives_equal_bytes_whatever_the_path_and_memory_format(tmp_path):
    """By which it is known: one of another digest is refused."""
    weights = {"w": torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))}
    last = {"w": weights["w"].to(memory_format=torch.channels_last)}
    path = tmp_path / "model.pt"
    checkpoint.save(path, weights, {"run": "x"})
    checkpoint.save(tmp_path / "b_longer_name.pt", last, {"run": "x"})
    checkpoint.load(path, files.sha256(tmp_path / "b_longer_name.pt"))
    with pytest.raises(InputError, match=r"model\.pt has changed since it was made \(expected sha256 000000000000"):
        checkpoint.load(path, "0" * 64)


def test_equal_values_give_equal_json_which_may_be_sealed(tmp_path):
    """Keys are sorted; of a sealed file a changed number is named."""
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    files.write_json(one, {"b": 1, "a": {"d": 2, "c": 3}}, seal=True)
    files.write_json(other, {"a": {"c": 3, "d": 2}, "b": 1}, seal=True)
    assert one.read_bytes() == other.read_bytes()
    assert files.read_json(one) == {"a": {"c": 3, "d": 2}, "b": 1}
    one.write_text(one.read_text().replace('"b": 1', '"b": 2'))
    with pytest.raises(InputError, match=r"one\.json was changed after it was made"):
        files.read_json(one)


def test_a_file_has_the_rights_of_any_new_file(tmp_path):
    """So that others can read results where a user lets them."""
    for mask in (0o022, 0o002, 0o077):
        before = os.umask(mask)
        try:
            files.write_json(tmp_path / "metrics.json", {})
        finally:
            os.umask(before)
        assert (tmp_path / "metrics.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_other_files_are_refused_and_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    torch.save({"weights": {}, "meta": Evil()}, tmp_path / "model.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"something": 1}, tmp_path / "other.pt")
    np.savez(tmp_path / "arrays.npz", x=np.zeros(3))
    for name, told in (
        ("model.pt", "cannot be read"),
        ("plain.pt", "cannot be read"),
        ("other.pt", "not a checkpoint"),
        ("arrays.npz", "cannot be read"),
        ("absent.pt", "no checkpoint"),
    ):
        with pytest.raises(InputError, match=told):
            checkpoint.load(tmp_path / name)
    assert not (tmp_path / "evil").exists()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "metrics.json"
    files.write_json(path, {"a": 1})
    before = path.read_bytes()

    def fail():
        with files.replacing(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]
