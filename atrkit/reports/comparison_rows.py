"""What a table of compared systems says, whatever it is written in: rows, cells, caption and notes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atrkit.reports.counting import counted
from atrkit.reports.directions import DIRECTIONS
from atrkit.reports.figure_cells import as_measured, is_rank
from atrkit.reports.interval_rows import as_difference, few_clips_note

Record = Mapping[str, Any]

FIGURES = ("R@1", "R@5", "R@10", "mAP@10")  # the columns of the papers' tables, in each direction
_OF_GRADES = ("mAP@16", "nDCG@10")
_UNKNOWN = "-"


@dataclass(frozen=True)
class FigureCell:
    """One figure of one system.

    Args:
        mean: as shown.
        deviation: over seeds, as shown; empty for one seed.
        is_best: no system has a higher one, as shown.
    """

    mean: str
    deviation: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class SystemRow:
    """A row of the table of systems.

    Args:
        name: of the system.
        cells: one for each column.
        seeds: such as "n = 5", where any system has several.
    """

    name: str
    cells: tuple[FigureCell, ...]
    seeds: str = ""

    @property
    def name_and_seeds(self) -> str:
        """Both on one line."""
        return f"{self.name} ({self.seeds})" if self.seeds else self.name


@dataclass(frozen=True)
class DifferenceRow:
    """A row of a table of differences.

    Args:
        direction: key of `DIRECTIONS`.
        figure: such as "R@1".
        difference: in points; MedR in ranks.
        interval: 95 %.
        p: or empty, for figures without.
        p_holm: or empty.
    """

    direction: str
    figure: str
    difference: str
    interval: str
    p: str
    p_holm: str


def directions_of(record: Record) -> list[str]:
    """Directions that were compared."""
    return [direction for direction in DIRECTIONS if direction in record["queries"]]


def columns_of(record: Record) -> list[tuple[str, str]]:
    """Direction and figure of each column of the table of systems."""
    return [(direction, figure) for direction in directions_of(record) for figure in figures_of(record)]


def figures_of(record: Record) -> list[str]:
    """Figures of the table of systems in each direction: those of the papers, and those of graded judgements."""
    return [*FIGURES, *(name for name in _OF_GRADES if name in record["systems"][0]["text_to_audio"])]


def system_rows(record: Record) -> list[SystemRow]:
    """One row for each system, the best of each column marked; what reads the same is equally good."""
    rows = [[_cell(system, *column) for column in columns_of(record)] for system in record["systems"]]
    columns = zip(*rows, strict=True)
    best = [
        max((_as_number(cell.mean) for cell in column if cell.mean != _UNKNOWN), default=None) for column in columns
    ]
    several = any(system["n"] > 1 for system in record["systems"])
    return [
        SystemRow(
            system["name"],
            tuple(
                FigureCell(cell.mean, cell.deviation, cell.mean != _UNKNOWN and _as_number(cell.mean) == highest)
                for cell, highest in zip(row, best, strict=True)
            ),
            f"n = {system['n']}" if several else "",
        )
        for system, row in zip(record["systems"], rows, strict=True)
    ]


def _cell(system: Record, direction: str, figure: str) -> FigureCell:
    found = system[direction][figure]
    deviation = found["deviation"]
    return FigureCell(
        as_measured({figure: found["mean"]}, figure), "" if deviation is None else f"{100 * deviation:.1f}"
    )


def _as_number(shown: str) -> float:
    match shown[0]:
        case "<":
            return 0.05
        case ">":
            return 99.95
        case _:
            return float(shown)


def target_row(record: Record) -> SystemRow | None:
    """The published row that all systems aim at; nothing where there is none."""
    target = record["target"]
    values = (target or {}).get("values")
    if not values:
        return None
    unscaled = all(system["column_scaling"] == "none" for system in record["systems"])
    cells = []
    for direction, figure in columns_of(record):
        raw = values.get(f"{direction}_raw")
        published = raw if unscaled and raw else values.get(direction, {})
        cells.append(FigureCell(f"{published[figure]:.1f}" if figure in published else ""))
    table = f", table {target['table']}" if target.get("table") is not None else ""
    row = f": {target['row']}" if target.get("row") else ""
    return SystemRow(f"paper {target['paper']}{table}{row}", tuple(cells))


def difference_rows(comparison: Record, record: Record) -> list[DifferenceRow]:
    """Rows of one system against the baseline."""
    return [
        DifferenceRow(
            direction,
            figure,
            as_difference(found["difference"], figure),
            f"[{', '.join(as_difference(end, figure) for end in found['ci'])}]" if found["ci"] else _UNKNOWN,
            _p(found["p"]),
            _p(found["p_holm"]),
        )
        for direction in directions_of(record)
        for figure, found in comparison[direction].items()
        if found is not None
    ]


def has_holm(record: Record) -> bool:
    """Whether several systems were compared with the first."""
    return record["holm_over"] is not None


def _p(value: float | None) -> str:
    """As papers print it.

    >>> _p(0.0421), _p(1 / 10_001), _p(1.0)
    ('.0421', '.0001', '1.0000')
    """
    return "" if value is None else f"{value:.4f}".removeprefix("0")


def title(record: Record) -> str:
    """What was compared on what."""
    where = f"{record['dataset']}/{record['split']}, " if record["dataset"] else ""
    return where + _pool(record)


def _pool(record: Record) -> str:
    clips, captions = counted(record["clips"], "clip"), counted(record["captions"], "caption")
    if record["relevance"]:
        captions = counted(record["queries"]["text_to_audio"], "judged caption")
    return f"{clips}, {captions}, pool {record['pool_id'][:8]}"


def caption(record: Record) -> str:
    """One sentence above a table in a paper: what was compared, on what, over how many seeds."""
    seeds = {system["n"] for system in record["systems"] if "runs" in system}
    over = (
        ""
        if not seeds
        else "; one seed each"
        if seeds == {1}
        else f"; mean ± sample standard deviation over {_n(seeds)}"
    )
    return f"Retrieval{_where(record)}, in %, the best of each column in bold{over}."


def differences_caption(record: Record) -> str:
    """The same above a table of differences."""
    ranks = " (MedR in ranks)" if _shows_ranks(record) else ""
    return f"Differences to {record['baseline']}{_where(record)}, in points{ranks}, with 95 % intervals."


def _where(record: Record) -> str:
    on = f" on {record['dataset']}/{record['split']}" if record["dataset"] else ""
    return f"{on} ({_pool(record)})"


def _n(seeds: set[int]) -> str:
    return counted(seeds.copy().pop(), "seed") if len(seeds) == 1 else "n seeds"


def notes(record: Record) -> Iterator[str]:
    """What must be known to believe the figures; one sentence each."""
    if any(system["n"] > 1 for system in record["systems"]):
        yield "mean ± sample standard deviation over n seeds"
    yield from system_notes(record)
    yield from difference_notes(record)


def system_notes(record: Record) -> Iterator[str]:
    """Of the table of systems, but for what its `caption` says."""
    yield from _what_is_relevant(record)
    yield from _scores(record["systems"])
    yield from _twice(record.get("same_systems", ()))
    if record["lists"]:
        yield (
            f"{', '.join(record['lists'])}: lists of the best clips, so text to audio alone, and without figures that "
            "depend on what is not listed"
        )
    for name, queries in record.get("lists_cut_in_ties", {}).items():
        yield (
            f"{name}: {counted(queries, 'list')} may have been cut between equal scores; figures that depend on it are "
            "not known"
        )
    yield from _left_out(record)
    yield from trained_on_notes(record)


def difference_notes(record: Record) -> Iterator[str]:
    """Of the tables of differences."""
    ranks = ", MedR in ranks" if _shows_ranks(record) else ""
    yield (
        f"differences: system - {record['baseline']}, in points{ranks}; 95 % interval: bootstrap over clips with their "
        f"captions, {record['resamples']:,} resamples, the same for all systems"
    )
    if "resampled_clips" in record:
        yield from few_clips_note(min(record["resampled_clips"].values()))
    if points := list(dict.fromkeys(_points(record))):
        yield (
            f"an interval of one value ({', '.join(points)}): at least 95 % of the resamples give that difference"
            + (", as medians move in steps" if any(map(is_rank, points)) else "")
        )
    yield (
        f"p: two-sided, signs of the clips' differences flipped {record['flips']:,} times; it is about other clips, "
        "not about other seeds; p and intervals hold the gallery as it is, and so err towards no difference"
        + (f"; Holm: corrected for {record['holm_over']} systems, each figure by itself" if has_holm(record) else "")
    )


def _twice(pairs: Sequence[Sequence[str]]) -> Iterator[str]:
    for first, second in pairs:
        if first == second:
            yield f"{first} stands here twice: it does not differ from itself"
        else:
            yield f"{first} and {second} are the same: they do not differ"


def _points(record: Record) -> Iterator[str]:
    """Figures of systems that differ, with an interval of no width."""
    for comparison in record["comparisons"]:
        for direction in directions_of(record):
            for figure, found in comparison[direction].items():
                if found is not None and found["ci"] and found["difference"] and found["ci"][0] == found["ci"][1]:
                    yield figure


def _shows_ranks(record: Record) -> bool:
    return any(is_rank(row.figure) for each in record["comparisons"] for row in difference_rows(each, record))


def _what_is_relevant(record: Record) -> Iterator[str]:
    relevance = record["relevance"]
    if relevance:
        least, highest = relevance["least_grade"], relevance.get("highest_grade", 0)
        half = f" ({'half ' if least == (highest + 1) // 2 else ''}of {highest})" if relevance.get("graded") else ""
        yield (
            f"relevant: by {relevance['name']}, grade {least}{half} or more; no audio to text: clips were judged for "
            "captions, not captions for clips"
        )
        if relevance.get("graded"):
            yield "nDCG@10 is over all captions with a grade above 0"
    if record["dedup"] != "none":
        yield "captions with the same words are relevant to each other's clips"


def _scores(systems: Sequence[Record]) -> Iterator[str]:
    names_of: dict[str, list[str]] = {}
    for system in systems:
        scaling = system["column_scaling"]
        text = system["scoring"] + ("" if scaling == "none" else f", column scaling {scaling}")
        names_of.setdefault(text, []).append(system["name"])
    if len(names_of) == 1:
        yield f"scores: {next(iter(names_of))}"
    else:
        yield "scores: " + "; ".join(f"{text} ({', '.join(names)})" for text, names in names_of.items())


def _left_out(record: Record) -> Iterator[str]:
    counts = {name: each for name, each in (record["left_out"] or {}).items() if any(each.values())}
    if counts:
        each = ", ".join(
            f"{name} {counted(n['clips'], 'clip')} and {counted(n['captions'], 'caption')}"
            for name, n in counts.items()
        )
        yield f"ranked again on what all share; left out: {each}"


def trained_on_notes(record: Record) -> Iterator[str]:
    """Systems that were trained on the clips they are compared on, and those of which nobody knows."""
    for system in record["systems"]:
        if system["clips_trained_on"]:
            yield (
                f"NOTE: {system['name']} was trained on {system['clips_trained_on']:,} of these clips: "
                "figures on them measure memory"
            )
    files = [system["name"] for system in record["systems"] if "files" in system]
    if files:
        yield f"what was trained on is not known of {', '.join(files)}"
