"""The pages of a preset's site, as Markdown with tables in HTML: results, what each number rests on, and the front.

It reads exhibits and runs where they lie, the preset's own or those kept in git, and makes nothing.
`lasnn.pipeline.site` adds documents and notebooks and has Sphinx build the pages.
"""

from lasnn.report.site.front import front
from lasnn.report.site.lineage import Lineage
from lasnn.report.site.shown import Shown, look
from lasnn.report.site.write import exhibit_page

__all__ = ["Lineage", "Shown", "exhibit_page", "front", "look"]
