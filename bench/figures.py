"""Figures of runs: quantiles, budgets, and tables that show how much repeated runs differ."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Figures = dict[str, float]
"""Name, with its unit at the end, to value."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a figure may be."""

    figure: str
    at_most: float

    def verdict(self, measured: float) -> str:
        """Say whether the budget is met, and by how much it is not."""
        if math.isnan(measured):
            return "not measured"
        return "met" if measured <= self.at_most else f"MISSED by {measured / self.at_most:.2f} x"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed; nan when there is none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(name: str, seconds: Iterable[float]) -> Figures:
    """Return the quantiles of times in seconds as figures in milliseconds."""
    values = [second * 1000 for second in seconds]
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {f"{name}_{label}_ms": quantile(values, share) for label, share in shares.items()}


def median_of(runs: Sequence[Figures]) -> Figures:
    """Return the median over the runs for each figure."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: statistics.median([run[name] for run in runs if name in run]) for name in names}


def report(runs: Mapping[str, Sequence[Figures]], budgets: Sequence[Budget], json_path: str | None) -> None:
    """Print the runs of each variant, and write them as JSON where that is asked for.

    Figures with a dot in their names belong to one thing among many, which the caller shows in a table of its own.
    """
    if json_path != "-":
        for name, of_variant in runs.items():
            print(f"\n{name}: median of {len(of_variant)} runs, smallest to largest, budget")
            print(table(_rows(of_variant, budgets)))
        names = list(runs)
        if len(names) > 1:
            print(f"\n{names[1]} / {names[0]} (medians of runs taken in turns)")
            print(table(_ratios(median_of(runs[names[0]]), median_of(runs[names[1]]))))
    if json_path:
        text = json.dumps(_as_dict(runs, budgets), indent=2)
        if json_path == "-":
            sys.stdout.write(text + "\n")
        else:
            Path(json_path).write_text(text + "\n", encoding="utf-8")


def _rows(runs: Sequence[Figures], budgets: Sequence[Budget]) -> list[list[str]]:
    by_figure = {budget.figure: budget for budget in budgets}
    rows = []
    for name, value in median_of(runs).items():
        if "." in name:
            continue
        seen = [run[name] for run in runs if name in run]
        row = [name, number(value), f"{number(min(seen))} … {number(max(seen))}" if len(seen) > 1 else "", ""]
        if name in by_figure:
            row[3] = f"<= {by_figure[name].at_most:g}: {by_figure[name].verdict(value)}"
        rows.append(row)
    return rows


def _ratios(first: Figures, second: Figures) -> list[list[str]]:
    return [
        [name, number(value), number(second[name]), f"{second[name] / value:.2f} x" if value else "-"]
        for name, value in first.items()
        if name in second
    ]


def _as_dict(runs: Mapping[str, Sequence[Figures]], budgets: Sequence[Budget]) -> dict[str, object]:
    variants: dict[str, object] = {}
    for name, of_variant in runs.items():
        median = median_of(of_variant)
        variants[name] = {
            "median": {figure: None if math.isnan(value) else round(value, 4) for figure, value in median.items()},
            "runs": [{f: None if math.isnan(v) else round(v, 4) for f, v in run.items()} for run in of_variant],
            "budgets": [
                {"figure": b.figure, "at_most": b.at_most, "verdict": b.verdict(median.get(b.figure, math.nan))}
                for b in budgets
            ],
        }
    return variants


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned text; the first column is left, the others are right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join(["", name.ljust(widths[0]), *padded]).rstrip())
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a figure as it is printed."""
    return "-" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
