"""Tables of several runs: a row for each, and mean ± deviation of runs that differ in their seed alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.counting import counted
from atrkit.reports.directions import DIRECTIONS
from atrkit.reports.figure_cells import as_measured, as_published, is_rank
from atrkit.reports.interval_rows import difference_cells, interval_notes, interval_rows
from atrkit.reports.recall_notes import (
    captions_of,
    pool_notes,
    rerank_note,
    target_note,
    trained_on_note,
)
from atrkit.reports.recall_table import NDCG_COLUMN, published_rows
from atrkit.reports.style import RULED

_OF_POOL = ("dataset", "split", "pool_id")
_OF_SCORES = ("scoring", "column_scaling")
_FEW_COLUMNS = 5
_LONG_NAME = 16  # characters; a longer one takes a line for its folder

Result = Mapping[str, Any]
_Group = tuple[Sequence[Result], Result | None]  # runs, and their mean where they are seeds of one training


def runs_table(
    results: Sequence[Result], summaries: Sequence[Result] = (), remarks: Sequence[str] = ()
) -> RenderableType:
    """One table for each pool, as figures of different pools do not compare.

    Args:
        results: JSON objects of `atrkit eval --metric recall`, one per run (and column scaling).
        summaries: of groups of them, each with "runs", "seeds", "n", and "mean" and "deviation" of every figure.
        remarks: lines below the tables.

    Returns:
        Something that a rich console prints.
    """
    parts: list[RenderableType] = []
    for pool in dict.fromkeys(_pool(result) for result in results):
        of_pool = [result for result in results if _pool(result) == pool]
        means = [summary for summary in summaries if _pool(summary) == pool]
        groups = list(_grouped(of_pool, means))
        parts += [_title(of_pool, groups), _table(groups), Text()]
        parts += [Text(note) for note in dict.fromkeys(_notes(of_pool, means))]
        parts.append(Text())
    return Group(*parts, *(Text(remark) for remark in remarks))


def mean_and_deviation_text(figure: Mapping[str, float | None], name: str) -> str:
    """Mean ± deviation as papers print it: "29.3 ± 0.3", fractions in per cent.

    >>> mean_and_deviation_text({"mean": 0.293, "deviation": 0.0031}, "R@1")
    '29.3 ± 0.3'
    >>> mean_and_deviation_text({"mean": 12.5, "deviation": None}, "MedR")
    '12.5'
    """
    mean, deviation = figure["mean"], figure["deviation"]
    assert mean is not None
    shown = as_measured({name: mean}, name)
    return shown if deviation is None else f"{shown} ± {deviation if is_rank(name) else 100 * deviation:,.1f}"


def _pool(result: Result) -> tuple[Any, ...]:
    return tuple(result[key] for key in _OF_POOL)


def _scores(result: Result) -> tuple[Any, ...]:
    return tuple(result[key] for key in _OF_SCORES)


def _scores_text(result: Result) -> str:
    scaling = result["column_scaling"]
    return str(result["scoring"]) + ("" if scaling == "none" else f", column scaling {scaling}")


def _title(results: Sequence[Result], groups: Sequence[_Group]) -> Text:
    first, to_audio = results[0], results[0]["text_to_audio"]
    what = _folder_of(results) if len(groups) == 1 else counted(len({each["run"] for each in results}), "run")
    title = Text(f"{what} on {first['dataset']}/{first['split']}\n")
    title.stylize("bold")
    size = f"{captions_of(first)}, {to_audio['candidates']:,} clips, pool {first['pool_id'][:8]}"
    scores = f"scores: {_scores_text(first)}; " if len(set(map(_scores, results))) == 1 else ""
    return title.append(f"{size}; {scores}R@k, mAP in %", style="not bold")


def _table(groups: Sequence[_Group]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1), header_style="")
    table.add_column("", overflow="fold", min_width=len(DIRECTIONS["text_to_audio"]))
    results = [result for of_group, _ in groups for result in of_group]
    columns = _columns_of(results[0]["text_to_audio"])
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    are_alike = len(set(map(_scores, results))) == 1
    some_reranked = len({"rerank" in result for result in results}) > 1
    for direction, name in DIRECTIONS.items():
        if results[0][direction] is None:  # judgements of clips say nothing about audio to text
            continue
        table.add_row(name, style="bold")
        for of_group, summary in groups:
            suffix = "" if are_alike else f" ({', '.join(_scores(of_group[0])).removesuffix(', none')})"
            suffix += " (re-ranked)" if some_reranked and "rerank" in of_group[0] else ""
            if summary is None:
                table.add_row(f"{_on_lines(of_group[0]['run'])}{suffix}", *_cells(of_group[0][direction], columns))
                _add_intervals(table, of_group[0][direction], columns)
            else:
                if len(groups) > 1:
                    table.add_row(_on_lines(_folder_of(of_group)) + suffix)
                _add_seeds(table, of_group, summary, direction, columns)
            for key, label, published in published_rows(of_group[0], direction):
                table.add_row(label, *(as_published(published, column) for column in columns))
                differences = ((summary or of_group[0]).get("target_difference") or {}).get(key)
                if differences:
                    table.add_row("  difference", *difference_cells(differences, columns))
        chance = results[0][direction]
        table.add_row("chance", *(as_measured(chance, f"chance_{column}") for column in columns), style="dim")
        table.add_section()
    return table


def _columns_of(figures: Mapping[str, Any]) -> list[str]:
    recalls = [name for name in figures if name.startswith("R@")]
    return [*recalls, "mAP@10", *([NDCG_COLUMN] if NDCG_COLUMN in figures else []), "MedR"]


def _folder_of(results: Sequence[Result]) -> str:
    """What names the seeds of one training together; a single run has its own name."""
    folders = [result["run"].rpartition("/")[0] for result in results]
    return str(results[0]["run"]) if len(results) == 1 else ", ".join(dict.fromkeys(folders))


def _on_lines(name: str) -> str:
    return name if len(name) <= _LONG_NAME else "/\n  ".join(name.rsplit("/", 1))


def _add_seeds(
    table: Table, results: Sequence[Result], summary: Result, direction: str, columns: Sequence[str]
) -> None:
    """A row per seed, and their mean in bold."""
    is_one_folder = len({result["run"].rpartition("/")[0] for result in results}) == 1
    for result, seed in zip(results, summary["seeds"], strict=True):
        label = f"seed {seed}" if is_one_folder and seed is not None else _on_lines(result["run"])
        table.add_row(f"  {label}", *_cells(result[direction], columns))
        _add_intervals(table, result[direction], columns, indent="    ")
    table.add_row(f"  mean, n = {summary['n']}", *_means(summary[direction], columns), style="bold")
    raw = summary.get(f"{direction}_raw")
    if raw:
        table.add_row("    unscaled", *_means(raw, columns))


def _means(figures: Mapping[str, Mapping[str, float | None]], columns: Sequence[str]) -> list[str]:
    """Means with their deviations beside them, or below, where 80 columns would not do."""
    cells = [mean_and_deviation_text(figures[column], column) for column in columns]
    return cells if len(columns) <= _FEW_COLUMNS else [cell.replace(" ± ", "\n±") for cell in cells]


def _add_intervals(table: Table, figures: Mapping[str, Any], columns: Sequence[str], indent: str = "  ") -> None:
    for label, cells in interval_rows(figures, columns, indent):
        table.add_row(label, *cells, style="dim")


def _grouped(results: Sequence[Result], summaries: Sequence[Result]) -> Iterator[_Group]:
    """Results that are averaged together with their summary, the others alone; in the order of the results."""
    summary_of = {(run, *_scores(summary)): summary for summary in summaries for run in summary["runs"]}
    shown: list[Result] = []
    for result in results:
        summary = summary_of.get((result["run"], *_scores(result)))
        if summary is None:
            yield [result], None
        elif not any(each is summary for each in shown):
            shown.append(summary)
            yield [each for each in results if summary_of.get((each["run"], *_scores(each))) is summary], summary


def _cells(figures: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [as_measured(figures, column) for column in columns]


def _notes(results: Sequence[Result], summaries: Sequence[Result]) -> Iterator[str]:
    if any(summary["n"] > 1 for summary in summaries):
        yield "mean ± sample standard deviation over n seeds (n - 1 in the denominator)"
    for summary in summaries:
        if summary["n"] == 1:
            yield "one seed has no deviation: train more with --seeds"
        accuracy = summary.get("twin_order_accuracy")
        if accuracy and not summary.get("relevance"):
            shown = mean_and_deviation_text(accuracy, "accuracy")
            where = "" if len(summaries) == 1 else f" of {summary['runs'][0].rpartition('/')[0]}"
            yield f"twin order{where} {shown} %, n = {summary['n']} (chance 50.0 %)"
    averaged = {run for summary in summaries for run in summary["runs"]}
    of_runs = [{**each, "target_difference": None} if each["run"] in averaged else each for each in results]
    yield from interval_notes([*of_runs, *summaries])
    yield from pool_notes(results)
    yield from _named(results, _rerank_note)
    for result in results:
        yield from target_note(result.get("target"))
    yield from _named(results, trained_on_note)


def _named(results: Sequence[Result], notes_of: Callable[[Result], Iterator[str]]) -> Iterator[str]:
    """Each note once, with the runs that it is about, where it is not about all of them."""
    runs_of: dict[str, dict[str, None]] = {}
    for result in results:
        for note in notes_of(result):
            runs_of.setdefault(note, {})[result["run"]] = None
    all_runs = {result["run"] for result in results}
    for note, runs in runs_of.items():
        yield note if runs.keys() == all_runs else f"{', '.join(runs)}: {note.strip()}"


def _rerank_note(result: Result) -> Iterator[str]:
    """Without the time, in which runs with the same shortlist differ."""
    rerank = result.get("rerank") or {}
    yield from rerank_note({key: value for key, value in rerank.items() if key != "seconds"})
