"""The compiled loops' cache: made once, whole or not at all, nobody else's; no setting of the user's changes a byte."""

import os
import subprocess
import sys

import pytest
import torch

from lasnn.compiled import machine_code as code
from lasnn.compiled.views import memory

pytestmark = pytest.mark.skipif(code.library() is None, reason="no compiled loops here")
# A sum of products that are fused or not by processor: 16 outputs of three inputs, none a power of two.
SAY = """
import hashlib, sys, torch
if "numba first" in sys.argv: import numba
from lasnn.compiled import library, reason
from lasnn.compiled.products import convolve
x = torch.zeros(1, 4, 4, 40); x[..., ::15] = 1 / 3
seen = convolve(x.permute(0, 3, 1, 2), torch.arange(16 * 40 * 9.0).view(16, 40, 3, 3).sqrt(), 1, 1)
found = seen.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
print(library() is not None, reason(), hashlib.sha256(found).hexdigest()[:8])
"""


def said(*words: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", SAY, *words], env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_settings_of_numba_change_no_byte(tmp_path):
    """Another processor, less optimisation, another cache: the sums are those without, and nothing is written there."""
    expected = said()
    assert expected.startswith("True None")
    wild = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_OPT": "0", "NUMBA_DISABLE_JIT": "1"}
    assert said(**wild, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK="1") == expected
    assert list(tmp_path.iterdir()) == []


def test_numba_of_another_part_of_the_process():
    """What was loaded for another processor before can't be mended: one line, and torch's own operations."""
    assert said("numba first")[:9] == "True None"
    assert said("numba first", NUMBA_CPU_NAME="generic").startswith(
        "False ImportError: numba has NUMBA_CPU_NAME=generic in this process, or in .numba_config.yaml: unset it"
    )


def test_off():
    assert said(LASNN_KERNELS="off").startswith("False LASNN_KERNELS is off")


def test_provenance_names_what_made_the_code(monkeypatch):
    assert code.described().startswith("numba 0.")
    assert "llvmlite" in code.described()
    monkeypatch.setattr(code, "library", lambda: None)
    monkeypatch.setattr(code, "_reason", "OSError: no space")
    assert code.described() == "none: OSError: no space"


# ---- a cache of one loop ---------------------------------------------------------------------------------------------


@pytest.fixture
def one_loop(monkeypatch):
    """Only the loop `count`."""
    from lasnn.compiled import compiling

    monkeypatch.setattr(compiling, "KERNELS", {"count": compiling.KERNELS["count"]})
    return compiling


def test_a_damaged_cache_is_made_anew(one_loop, tmp_path):
    """A byte changed, a file gone, the list gone, all of it writable by others: the loop counts as before."""
    code._load(tmp_path)
    (cache,) = tmp_path.glob("loops-*")
    assert code.whole(cache)
    made = (cache / code.WHOLE).stat().st_mtime_ns
    code._load(tmp_path)
    assert (cache / code.WHOLE).stat().st_mtime_ns == made  # and not made again where it is whole
    data = next(cache.rglob("*.nbc"))

    def flip():
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)

    for damage in (flip, data.unlink, (cache / code.WHOLE).unlink, lambda: cache.chmod(0o777)):
        damage()
        assert not code.whole(cache)
        loops = code._load(tmp_path)
        assert code.whole(cache)
        assert loops.count(memory(torch.tensor([0.0, 2.0, -1.0]))) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users here")
def test_a_cache_of_another_user_is_not_read(one_loop, tmp_path, monkeypatch):
    code._load(tmp_path)
    (cache,) = tmp_path.glob("loops-*")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert not code.whole(cache)


def test_a_key_for_each_processor_and_version(monkeypatch):
    """A home that two machines share: each has its own code."""
    digests = {code._digest()}
    monkeypatch.setattr(code, "_processor", lambda: ("znver9", "+avx"))
    digests.add(code._digest())
    monkeypatch.setattr(code, "_version", lambda package: "9.9" if package == "numba" else "0.1")
    digests.add(code._digest())
    assert len(digests) == 3


def test_a_loop_that_raises_leaves_the_work_to_torch(one_loop, tmp_path, monkeypatch):
    def raising(x):
        raise ValueError("no such luck")

    one_loop.KERNELS["count"] = raising, one_loop.KERNELS["count"][1]
    monkeypatch.setattr(code, "folder", lambda: tmp_path)
    monkeypatch.setattr(code, "_reason", None)
    code.library.cache_clear()
    try:
        assert code.library() is None
        assert code.reason().startswith("RuntimeError: compiled loop count: ValueError: no such luck")
        assert not list(tmp_path.glob(f"*/{code.WHOLE}"))
    finally:
        monkeypatch.undo()
        code.library.cache_clear()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users here")
def test_a_home_that_cannot_be_written_or_is_unknown(tmp_path, monkeypatch):
    blocked, temporary = tmp_path / "file", tmp_path / "temporary"
    blocked.write_text("not a folder")
    temporary.mkdir()
    monkeypatch.setattr(code.tempfile, "gettempdir", lambda: str(temporary))
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert code.folder() == temporary / f"lasnn-{os.getuid()}"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as of a uid without a name, and no HOME
    assert code.folder() == temporary / f"lasnn-{os.getuid()}"
    monkeypatch.setattr(code.tempfile, "gettempdir", lambda: str(blocked))
    with pytest.raises(OSError, match="no folder for compiled code can be written"):
        code.folder()


def test_all_parts_are_done_once():
    done = torch.zeros(10)
    code.over(10, 4, lambda first, last: done[first:last].add_(1))
    assert done.tolist() == [1] * 10
    code.over(0, 4, lambda first, last: done.zero_())
    assert done.tolist() == [0] * 10 or done.tolist() == [1] * 10
