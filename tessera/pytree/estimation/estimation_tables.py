"""Tables of estimates, several models side by side: as a DataFrame, text, Markdown, LaTeX or HTML.

A model is a frame in format 1 of a summary (`summary`), possibly several concatenated or filtered, or a result of an
estimation. Parameters meet by label, so models may have different ones; a blank shows where a model lacks one. Below
each estimate is its standard error in parentheses, or its confidence interval in brackets; `(fixed)` marks what was not
estimated. No templating library is used and no number is rounded before it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from tessera.errors import StructureError

TableForm = Literal["dataframe", "text", "markdown", "latex", "html"]
Inference = Literal["standard_error", "ci", "none"]
_NOTE = "*** p < 0.01, ** p < 0.05, * p < 0.1"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def estimation_table(
    models: Any,
    *,
    kind: TableForm = "dataframe",
    names: Sequence[str] | None = None,
    inference: Inference = "standard_error",
    digits: int = 3,
    show_stars: bool = True,
    labels: Mapping[Any, str] | None = None,
    statistics: Mapping[str, Sequence[Any]] | None = None,
    title: str | None = None,
) -> Any:
    """A table with a column for each model and two rows for each parameter.

    Args:
        models: a format-1 frame or an estimation result, a sequence of them, or a dict of them by name.
        kind: "dataframe", "text", "markdown", "latex" or "html".
        names: of the models; by default the keys of a dict, or (1), (2), ...
        inference: what is shown below each estimate.
        digits: significant decimal places.
        show_stars: whether stars follow the estimates; they come from the column `p_value`.
        labels: other names for parameters, by their label (a tuple for a MultiIndex).
        statistics: further rows below, for instance `{"Observations": [100, 200]}`: one entry a model. Estimation
            results bring their own.
        title: a caption.

    Returns:
        DataFrame of text with the MultiIndex (parameter, statistic), or a string.

    Raises:
        StructureError: for models without the columns needed, repeated labels, or names that do not fit.
    """
    if kind not in get_args(TableForm):
        raise StructureError(f"there is no kind {kind!r} of table; choose one of {', '.join(get_args(TableForm))}.")
    if inference not in get_args(Inference):
        raise StructureError(f"inference is {inference!r}; choose one of {', '.join(get_args(Inference))}.")
    given = _named(models, names)
    frames = {name: _checked(model, name, inference) for name, model in given.items()}
    body = _body(frames, inference, digits, show_stars, labels or {})
    footer = _footer(given, statistics or {}, digits)
    if kind == "dataframe":
        return _joined(body, footer, list(frames))
    note = _NOTE if show_stars else None
    writer = {"text": _text, "markdown": _markdown, "latex": _latex, "html": _html}[kind]
    return writer(list(frames), body, footer, title, note)


Row = tuple[str, str, list[str]]


def _named(models: Any, names: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(models, pd.DataFrame) or hasattr(models, "summary"):
        models = [models]
    if isinstance(models, Mapping):
        default, members = list(map(str, models)), list(models.values())
    else:
        members = list(models)
        default = [f"({number})" for number in range(1, len(members) + 1)]
    chosen = default if names is None else list(names)
    if len(chosen) != len(members) or len(set(chosen)) != len(chosen) or not members:
        raise StructureError(f"{len(members)} models and the names {chosen}; give each model one name of its own.")
    return dict(zip(chosen, members, strict=True))


def _checked(model: Any, name: str, inference: Inference) -> pd.DataFrame:
    frame = model if isinstance(model, pd.DataFrame) else None
    if frame is None:
        if not hasattr(model, "summary_frame"):
            raise StructureError(
                f"model {name} is a {type(model).__name__}; give format-1 frames such as result.summary()['utility'], "
                "concatenated with pd.concat if there are several, or results of estimations."
            )
        frame = model.summary_frame()
    needed = {"none": [], "standard_error": ["standard_error"], "ci": ["ci_lower", "ci_upper"]}[inference]
    missing = [column for column in ["value", *needed] if column not in frame.columns]
    if missing:
        raise StructureError(f"model {name} has no columns {missing}; it has {list(frame.columns)}.")
    if frame.index.has_duplicates:
        repeated = frame.index[frame.index.duplicated()].unique()[:5].tolist()
        raise StructureError(
            f"model {name} has the labels {repeated} more than once; concatenate frames with pd.concat({{'a': ..., "
            "'b': ...}}) so that each parameter has a label of its own."
        )
    return frame


def _body(
    frames: Mapping[str, pd.DataFrame],
    inference: Inference,
    digits: int,
    show_stars: bool,
    labels: Mapping[Any, str],
) -> list[Row]:
    """Rows (parameter, statistic, one text a model), parameters in the order in which models bring them up."""
    cells = [
        {label: _cell(frame.iloc[row], inference, digits, show_stars) for row, label in enumerate(frame.index)}
        for frame in frames.values()
    ]
    order = list(dict.fromkeys(label for column in cells for label in column))
    rows: list[Row] = []
    for label in order:
        parameter = labels.get(label, _label_text(label))
        rows.append((parameter, "value", [column.get(label, ("", ""))[0] for column in cells]))
        if inference != "none":
            rows.append((parameter, inference, [column.get(label, ("", ""))[1] for column in cells]))
    return rows


def _cell(row: pd.Series, inference: Inference, digits: int, show_stars: bool) -> tuple[str, str]:
    p_value = float(row.get("p_value", np.nan))
    marks = sum(p_value < level for level in (0.01, 0.05, 0.1)) if show_stars else 0
    value = _number(row["value"], digits) + "*" * marks
    if inference == "none":
        return value, ""
    if not bool(row.get("free", True)):
        return value, "(fixed)"
    if inference == "ci":
        return value, f"[{_number(row['ci_lower'], digits)}, {_number(row['ci_upper'], digits)}]"
    return value, f"({_number(row['standard_error'], digits)})"


def _number(value: Any, digits: int) -> str:
    """A number with so many decimals, in scientific notation where these would show nothing or too much."""
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, int | np.integer):
        return str(value)
    number = float(value)
    if not np.isfinite(number):
        return str(number)
    is_extreme = abs(number) >= 1e9 or 0 < abs(number) < 0.5 * 10.0**-digits
    return f"{number:.{digits}e}" if is_extreme else f"{number:.{digits}f}"


def _footer(models: Mapping[str, Any], statistics: Mapping[str, Sequence[Any]], digits: int) -> list[Row]:
    own = [dict(getattr(model, "statistics", None) or {}) for model in models.values()]
    rows: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for each in own for name in each):
        rows[name] = [_number(each[name], digits) if name in each else "" for each in own]
    for name, values in statistics.items():
        if len(values) != len(models):
            raise StructureError(f"the statistic {name!r} has {len(values)} entries for {len(models)} models.")
        rows[name] = [_number(value, digits) for value in values]
    return [(name, "", texts) for name, texts in rows.items()]


def _label_text(label: Any) -> str:
    return ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _joined(body: list[Row], footer: list[Row], names: list[str]) -> pd.DataFrame:
    rows = [*body, *footer]
    index = pd.MultiIndex.from_tuples([(row[0], row[1]) for row in rows], names=["parameter", "statistic"])
    return pd.DataFrame([row[2] for row in rows], index=index, columns=pd.Index(names, name="model"))


def _lines(body: list[Row], footer: list[Row]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of text with the name of a parameter only in the first row about it."""
    first = [[name if statistic == "value" else "", *texts] for name, statistic, texts in body]
    return first, [[name, *texts] for name, _, texts in footer]


def _text(names: list[str], body: list[Row], footer: list[Row], title: str | None, note: str | None) -> str:
    upper, lower = _lines(body, footer)
    grid = [["", *names], *upper, *lower]
    widths = [max(len(row[column]) for row in grid) for column in range(len(names) + 1)]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * len(names))
    parts = [*([title] if title else []), rule, line(grid[0]), rule, *map(line, upper), rule]
    parts += [*map(line, lower), rule] if lower else []
    return "\n".join([*parts, *([note] if note else [])]) + "\n"


def _markdown(names: list[str], body: list[Row], footer: list[Row], title: str | None, note: str | None) -> str:
    upper, lower = _lines(body, footer)

    def line(row: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|").replace("*", r"\*") for cell in row) + " |"

    parts = [*([f"**{title}**", ""] if title else []), line(["", *names]), "| --- |" + " ---: |" * len(names)]
    parts += [line(row) for row in [*upper, *lower]]
    return "\n".join([*parts, *(["", note.replace("*", r"\*")] if note else [])]) + "\n"


def _latex(names: list[str], body: list[Row], footer: list[Row], title: str | None, note: str | None) -> str:
    upper, lower = _lines(body, footer)

    def clean(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    def line(row: list[str]) -> str:
        # A cell that begins with a bracket would be read as the optional argument of the line break before it.
        return " & ".join(f"{{{clean(cell)}}}" if cell.startswith("[") else clean(cell) for cell in row) + r" \\"

    inner = [r"\hline", line(["", *names]), r"\hline", *map(line, upper), r"\hline"]
    inner += [*map(line, lower), r"\hline"] if lower else []
    if note:
        inner.append(rf"\multicolumn{{{len(names) + 1}}}{{l}}{{{clean(note)}}} \\")
    tabular = [rf"\begin{{tabular}}{{l{'r' * len(names)}}}", *inner, r"\end{tabular}"]
    if title:
        tabular = [r"\begin{table}", r"\centering", rf"\caption{{{clean(title)}}}", *tabular, r"\end{table}"]
    return "\n".join(tabular) + "\n"


def _html(names: list[str], body: list[Row], footer: list[Row], title: str | None, note: str | None) -> str:
    upper, lower = _lines(body, footer)

    def line(row: list[str], tag: str = "td") -> str:
        head = f'<th scope="row">{escape(row[0])}</th>'
        return f"<tr>{head}{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row[1:])}</tr>"

    parts = ["<table>", *([f"<caption>{escape(title)}</caption>"] if title else [])]
    parts += ["<thead>", line(["", *names], "th"), "</thead>", "<tbody>", *map(line, upper), "</tbody>"]
    last = [*map(line, lower)]
    if note:
        last.append(f'<tr><td colspan="{len(names) + 1}">{escape(note)}</td></tr>')
    parts += ["<tfoot>", *last, "</tfoot>"] if last else []
    return "\n".join([*parts, "</table>"]) + "\n"
