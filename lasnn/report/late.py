"""pandas, loaded when a table is made, and types of matplotlib: every job reads the plan from here, few make tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
else:

    class Late:
        """In place of pandas. No lazy module: torch looks at every module while it is loaded, which would load that."""

        def __getattr__(self, name: str) -> object:
            import pandas

            return getattr(pandas, name)

    pd, Axes, Drawing = Late(), object, object  # the last two for annotations alone

__all__ = ["Axes", "Drawing", "pd"]
