"""Altered copies of official files, which loaders must refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

Edit = Callable[[pd.DataFrame], pd.DataFrame]


def edited(source: Path, target: Path, edit: Edit) -> Path:
    """A CSV file with an edit of its table of text."""
    edit(pd.read_csv(source, dtype=str, keep_default_na=False)).to_csv(target, index=False)
    return target


def page(source: Path, target: Path, old: str, new: str) -> Path:
    """A page with one text in place of another, which must be there."""
    text = source.read_text(encoding="utf-8")
    assert old in text
    target.write_text(text.replace(old, new), encoding="utf-8")
    return target


def cell(column: str, key: str, row: str, value: str) -> Edit:
    """Writes a value into a column of the rows where `key` is `row`."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame[key] == row, column] = value
        return frame

    return change


def twice(key: str, row: str) -> Edit:
    """Adds the rows where `key` is `row` once more."""
    return lambda frame: pd.concat([frame, frame[frame[key] == row]])


def without(key: str, row: str) -> Edit:
    """Leaves out the rows where `key` is `row`."""
    return lambda frame: frame[frame[key] != row]


def renamed(column: str) -> Edit:
    """Gives a column another name."""
    return lambda frame: frame.rename(columns={column: "other"})
