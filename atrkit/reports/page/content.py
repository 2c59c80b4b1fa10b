"""What a report page holds, as plain values: text is unescaped here, and escaped where it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from atrkit.reports.charts.chart import Chart


@dataclass(frozen=True)
class Fact:
    """One line of what was run.

    Args:
        label: what it is.
        value: as shown.
        is_code: a command or an id, in the typeface of code.
    """

    label: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: the figure.
        below: smaller, below it: its interval, or what to know of it.
    """

    text: str
    below: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        label: its heading.
        cells: one per column.
        kind: how it is set: "measured", "aside" (what stands beside it), or "plain".
        link: anchor on the page that the label leads to; "": none.
    """

    label: str
    cells: tuple[Cell, ...]
    kind: str = "plain"
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table with row headings.

    Args:
        title: what it shows, read out before it.
        header: first the heading of the labels, which may be empty, then one per column.
        parts: groups of rows, with a rule between them.
        notes: lines below it.
    """

    title: str
    header: tuple[str, ...]
    parts: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sound:
    """A clip that can be listened to, or why not.

    Args:
        clip_id: its id.
        duration_s: of the recording.
        data: encoded audio; None: there is no player.
        media_type: of the data.
        cut_to_s: how much of a long recording is there; None: all of it.
        why_not: why there is no player; "": none was wanted.
    """

    clip_id: str
    duration_s: float
    data: bytes | None = None
    media_type: str = ""
    cut_to_s: float | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Found:
    """One retrieved item.

    Args:
        place: in the ranking, from 1; where it is not among the first, its expected rank.
        score: as shown.
        text: the caption: of the clip, or the one retrieved.
        sound: key of the clip in `ReportPage.sounds`; "": a caption was retrieved, not a clip.
        clip_id: of the clip, or of the clip that the caption was written for.
        is_right: it is what should be found.
        remark: what to know: a tie, or that it is further down.
    """

    place: str
    score: str
    text: str
    sound: str
    clip_id: str
    is_right: bool
    remark: str = ""


@dataclass(frozen=True)
class Query:
    """One query and what it retrieves.

    Args:
        text: the caption that is searched for; "": a clip is.
        sound: key of the clip that is searched for; "": a caption is.
        clip_id: of the clip that is meant, or searched for.
        captions: of the clip that is searched for, as written.
        rank: of the best right item, as shown.
        found: the first few, and the best right one where it is not among them.
    """

    text: str
    sound: str
    clip_id: str
    captions: tuple[str, ...]
    rank: str
    found: tuple[Found, ...]


@dataclass(frozen=True)
class QueryGroup:
    """The best, the median or the worst queries of one direction."""

    name: str
    queries: tuple[Query, ...]


@dataclass(frozen=True)
class Examples:
    """Queries of one direction.

    Args:
        title: the direction.
        about: how they were chosen.
        score_name: what the scores are.
        groups: those that have queries.
    """

    title: str
    about: str
    score_name: str
    groups: tuple[QueryGroup, ...]


@dataclass(frozen=True)
class RunSection:
    """All that the page says of one run.

    Args:
        anchor: unique on the page.
        name: the run's.
        facts: what was run.
        recipe: the file as it ran; "": there is none.
        warnings: what makes its figures worth less.
        recall: the recall table.
        charts: of this run, but for those of the next two parts.
        hub_charts: about captions that are first for many clips.
        perturbation_charts: about changed captions.
        perturbation: accuracies with changed captions; None: not computed, and `perturbation_note` says how.
        perturbation_note: a line below it.
        examples: queries, with what they retrieve.
        example_note: a line above them.
    """

    anchor: str
    name: str
    facts: tuple[Fact, ...]
    recipe: str
    warnings: tuple[str, ...]
    recall: Table
    charts: tuple[Chart, ...]
    hub_charts: tuple[Chart, ...]
    perturbation_charts: tuple[Chart, ...]
    perturbation: Table | None
    perturbation_note: str
    examples: tuple[Examples, ...]
    example_note: str = ""


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ in their seed alone; mostly one.

    Args:
        anchor: unique on the page.
        name: what they have in common.
        mean: over the seeds; None: there is one run.
        runs: at least one.
    """

    anchor: str
    name: str
    mean: Table | None
    runs: tuple[RunSection, ...]


@dataclass(frozen=True)
class Comparison:
    """Several runs beside each other.

    Args:
        summaries: one table for each pool: figures of different pools do not compare.
        differences: paired differences between runs of one pool.
        charts: that show several runs.
        notes: what to know of them.
    """

    summaries: tuple[Table, ...]
    differences: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportPage:
    """The whole page.

    Args:
        title: its heading.
        lead: what it is about, in one sentence.
        groups: of runs.
        comparison: None: there is one run.
        sounds: clips by key, those that examples name.
        version: of atrkit that made it.
    """

    title: str
    lead: str
    groups: tuple[RunGroup, ...]
    version: str
    comparison: Comparison | None = None
    sounds: Mapping[str, Sound] = field(default_factory=dict)
