"""A table's page: what the Markdown says, escaped, with nothing that is loaded from elsewhere."""

from lasnn.report import pages

MARKDOWN = """# Accuracy & <spikes>

| network   | ours     |
|:----------|:---------|
| VGG5      | 98.3     |
| a <b> & c | -        |

- n_test 360.
- `-`: not run.
"""


def test_a_table_by_hand():
    shown = pages.page(MARKDOWN)
    assert "<h3>Accuracy &amp; &lt;spikes&gt;</h3>" in shown
    assert shown.count("<tr>") == 3
    assert shown.count("<th ") == shown.count("</th>") == 2
    assert shown.count("<td ") == shown.count("</td>") == 4
    assert ">98.3</td>" in shown
    assert ">a &lt;b&gt; &amp; c</td>" in shown
    assert "<li>n_test 360.</li><li>`-`: not run.</li>" in shown
