"""pandas, loaded when a table is made: every job of the workflow reads the plan from here, and few make tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
else:

    class Late:
        """Stands for pandas. No lazy module: torch looks at every module while it is loaded, which would load that."""

        def __getattr__(self, name: str) -> object:
            import pandas

            return getattr(pandas, name)

    pd = Late()

__all__ = ["pd"]
