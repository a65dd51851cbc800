"""The common look of figures."""

from lasnn.report import style
from lasnn.report.labels import METHOD_TITLES


def test_every_method_has_a_look_of_its_own():
    assert set(METHOD_TITLES) <= set(style.METHOD_STYLE)
    looks = list(style.METHOD_STYLE.values())
    assert len({look.color for look in looks}) == len(looks)
    assert len({(look.marker, look.dashes) for look in looks}) == len(looks)
    assert len({look.hatch for look in looks}) >= len(looks) - 1  # a plain black or blue bar is told by its lightness


def test_remarks_stay_inside_the_page():
    style.theme()
    drawing, (panels,) = style.sheet(1, 2)
    panels[0].plot([0, 1], [0, 1], label="a", **style.METHOD_STYLE["hybrid"].line)
    style.legend(drawing)
    style.remarks_below(drawing, ["Preset quick. " + "A long remark about what was run and on which images. " * 6])
    drawing.canvas.draw()
    box = drawing.texts[0].get_window_extent()
    assert box.x1 <= drawing.bbox.x1
    assert box.y1 < 0  # below every panel
