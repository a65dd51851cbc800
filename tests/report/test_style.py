"""The common look of figures, whatever settings of Matplotlib a user has."""

import os

import pytest
from tiny import python

DRAWN = """
import hashlib, io, sys
from lasnn.report import style
style.theme()
drawing, ((axes,),) = style.sheet()
axes.plot([0, 1], [0, 1], label="a_b", **style.METHOD_STYLE["hybrid"].line)
axes.set_title("a title")
style.legend(drawing)
for ending, options in {"svg": {"metadata": {"Date": None}}, "png": {}}.items():
    drawing.savefig(buffer := io.BytesIO(), format=ending, **options)
    print(hashlib.sha256(buffer.getvalue()).hexdigest())
"""


def drawn(folder, **variables):
    return python(folder, "-c", DRAWN, **{"PYTHONPATH": os.getcwd()} | variables)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """What is drawn where the user has no settings."""
    return drawn(tmp_path_factory.mktemp("ours"))


@pytest.mark.parametrize("where", ["MATPLOTLIBRC", "MPLCONFIGDIR", "working folder"])
def test_no_setting_of_the_users_changes_a_picture(ours, tmp_path, where):
    """Not one that needs LaTeX, nor one that can't be read, nor a backend that isn't there."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "matplotlibrc").write_text(
        "text.usetex: True\nfont.size: 30\nsavefig.dpi: 40\nsvg.fonttype: path\naxes.titlecolor: red\nnonsense\n"
    )
    variables = {} if where == "working folder" else {where: str(tmp_path / "own")}
    theirs = drawn(tmp_path / "own" if where == "working folder" else tmp_path, MPLBACKEND="nonsense", **variables)
    assert theirs == ours
    assert len(theirs.split()) == 2
