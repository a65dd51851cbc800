"""Columns of tables, as words: what the paper ran, and what stood for it in our runs."""

from __future__ import annotations

from lasnn.plan.vocabulary import METHODS
from lasnn.report.late import pd
from lasnn.report.rows import number

METHOD_TITLES = {name: method.title for name, method in METHODS.items()} | {
    "ann": "ANN",
    "ann_teacher": "teacher ANN",
    "lasnn_act": "LaSNN",
}


def dataset(tidy: pd.DataFrame) -> pd.Series:
    """The paper's dataset, and ours where it is another."""
    other = (tidy["n"] > 0) & (tidy["ran_dataset"] != tidy["dataset"])
    return tidy["dataset"].where(~other, tidy["ran_dataset"] + " (for " + tidy["dataset"] + ")")


def method(tidy: pd.DataFrame) -> pd.Series:
    """The title of the method."""
    return tidy["method"].map(METHOD_TITLES)


def steps(tidy: pd.DataFrame) -> pd.Series:
    """The paper's T, and ours where it is another."""
    ours = tidy["ran_steps"].map(lambda value: "" if pd.isna(value) else f"{value:g}")
    paper = tidy["timesteps"].where(tidy["timesteps"] != "", "-")
    return paper.where((ours == "") | (ours == paper), ours + " (paper: " + paper + ")")


def ours(tidy: pd.DataFrame) -> pd.Series:
    """Mean ± sd (n), marked where a run behind it needs a warning."""
    columns = zip(tidy["ours"], tidy["sd"], tidy["n"], tidy["warnings"], strict=True)
    return pd.Series([number(*values) for values in columns], index=tidy.index)


def side_by_side(tidy: pd.DataFrame, index: list[str], column: pd.Series) -> pd.DataFrame:
    """A wide table: for each value of `column` two columns, ours and the paper's, and the scale s of the line.

    Lines and columns stand in the order of their first appearance; a categorical `column` brings its own order.
    """
    frame = tidy[index].copy()
    frame["column"], frame["ours"], frame["paper"] = column, ours(tidy), tidy["paper"].map(number)
    lines = frame[index].drop_duplicates()
    titles = column.cat.categories if hasattr(column, "cat") else dict.fromkeys(column)
    for title in titles:
        part = frame[frame["column"] == title].drop(columns="column")
        lines = lines.merge(part.rename(columns={"ours": f"{title}: ours", "paper": "paper"}), on=index, how="left")
        lines = lines.rename(columns={"paper": f"{title}: paper"})
    spiking = tidy[tidy["scale"].notna()].groupby(index, sort=False)["scale"]
    scales = spiking.agg(lambda values: ", ".join(sorted({f"{value:g}" for value in values})))
    return lines.merge(scales.rename("s").astype(object), left_on=index, right_index=True, how="left").fillna("-")
