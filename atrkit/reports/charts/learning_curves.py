"""Learning curves: losses and a validation figure after each epoch, of one run or several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

from markupsafe import Markup

from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.frame import (
    LINE_PX,
    Area,
    Drawing,
    KeyEntry,
    both_widths,
    heading,
    key,
    on_paper,
    side_by_side,
    x_axis,
    y_axis,
)
from atrkit.reports.charts.scales import Scale, nice_ticks
from atrkit.reports.charts.svg import (
    INK,
    MUTED,
    SERIES,
    dash,
    element,
    joined,
    label,
    line,
    marker,
    number,
    series_colour,
    text_width,
)
from atrkit.reports.counting import counted

MOST_POINTS = 500
_HEIGHT = 190
_FEW_EPOCHS = 12  # each gets a mark

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class LearningCurve:
    """What a training wrote down after each epoch.

    Args:
        name: of the run.
        epochs: numbers from 1, ascending, at least one.
        train_loss: of each epoch; None where there is none.
        val_loss: the same.
        figure: the validation figure, the same.
        chosen_epoch: whose weights were kept; None: not known.
    """

    name: str
    epochs: tuple[int, ...]
    train_loss: Values
    val_loss: Values
    figure: Values
    chosen_epoch: int | None = None

    def thinned(self) -> "LearningCurve":
        """At most `MOST_POINTS` epochs, evenly spaced, the last and the chosen one among them."""
        every = -(-len(self.epochs) // MOST_POINTS)
        if every == 1:
            return self
        kept = [
            index
            for index, epoch in enumerate(self.epochs)
            if index % every == 0 or index == len(self.epochs) - 1 or epoch == self.chosen_epoch
        ]
        columns = (self.epochs, self.train_loss, self.val_loss, self.figure)
        epochs, train, val, figure = (tuple(column[index] for index in kept) for column in columns)
        return LearningCurve(self.name, tuple(map(int, epochs)), train, val, figure, self.chosen_epoch)  # type: ignore[arg-type]


def learning_curves_chart(curves: Sequence[LearningCurve], figure_name: str | None) -> Chart:
    """Losses in one panel, the validation figure in another.

    Args:
        curves: at least one; the first six are drawn.
        figure_name: of `LearningCurve.figure`, a fraction, which is drawn in per cent; None: no second panel.
    """
    notes = list(_notes(curves))
    drawn = [curve.thinned() for curve in curves[:SERIES]]
    caption = _caption(drawn, figure_name)
    title = "Learning curves"
    svg = both_widths("learning-curves", title, caption, partial(_draw, drawn, figure_name))
    return Chart("learning-curves", title, caption, svg, _table(drawn, figure_name), tuple(notes))


def _draw(curves: Sequence[LearningCurve], figure_name: str | None, width: int) -> Drawing:
    entries = [KeyEntry(curve.name, index, "line") for index, curve in enumerate(curves)] if len(curves) > 1 else []
    has_train = any(value is not None for curve in curves for value in curve.train_loss)
    has_val = any(value is not None for curve in curves for value in curve.val_loss)
    if len(curves) > 1 and has_train and has_val:
        entries.append(KeyEntry("thin: training loss", 0, "thin"))
    keys = key(entries, 0, width, 0) if entries else Drawing(Markup(""), 0)
    draw_panels = [partial(_loss_panel, curves)]
    if figure_name is not None:
        draw_panels.append(partial(_figure_panel, curves, figure_name))
    drawing = side_by_side(width, draw_panels, keys.height)
    return Drawing(keys.content + drawing.content, drawing.height)


def _loss_panel(curves: Sequence[LearningCurve], left: float, right: float, top: float) -> Drawing:
    lines = [(index, curve, curve.train_loss, True) for index, curve in enumerate(curves)]
    lines += [(index, curve, curve.val_loss, False) for index, curve in enumerate(curves)]
    return _panel("Loss", lines, left, right, top)


def _figure_panel(curves: Sequence[LearningCurve], name: str, left: float, right: float, top: float) -> Drawing:
    lines = [
        (index, curve, tuple(None if value is None else 100 * value for value in curve.figure), False)
        for index, curve in enumerate(curves)
    ]
    return _panel(f"{name}, validation (%)", lines, left, right, top)


def _panel(
    title: str, lines: Sequence[tuple[int, LearningCurve, Values, bool]], left: float, right: float, top: float
) -> Drawing:
    values = [value for *_, column, _ in lines for value in column if value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    ticks = nice_ticks(0.0 if 0 < low < high / 3 else low, high, 5)
    margin = max(text_width(f"{tick:,.2f}".rstrip("0")) for tick in ticks) + 8
    area = Area(left + margin, top + 30, right - 6, top + 30 + _HEIGHT)
    y = Scale(ticks[0], ticks[-1], area.bottom, area.top)
    epochs = [epoch for _, curve, *_ in lines for epoch in curve.epochs]
    first, last = min(epochs), max(epochs)
    x = Scale(first, last, area.left + 4, area.right - 4)
    x_ticks = [tick for tick in nice_ticks(first, last, 6, whole=True) if first <= tick <= last]
    x_ticks = [first, *(tick for tick in x_ticks if tick - first > (last - first) / 12)]
    parts = [heading(title, left, top, right - left), y_axis(area, y, ticks), x_axis(area, x, x_ticks, name="epoch")]
    is_alone = len({index for index, *_ in lines}) == 1
    if is_alone and lines[0][1].chosen_epoch is not None:
        parts.append(_chosen_line(area, x(lines[0][1].chosen_epoch), lines[0][1].chosen_epoch))
    for index, curve, column, is_train in lines:
        colour_of = index + 1 if is_alone and is_train else index
        parts.append(_curve(x, y, curve, column, series=colour_of, is_train=is_train, is_alone=is_alone))
    if is_alone:
        parts.append(_names_at_ends(area, x, y, lines))
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 4)


def _curve(
    x: Scale, y: Scale, curve: LearningCurve, column: Values, *, series: int, is_train: bool, is_alone: bool
) -> Markup:
    points = [(epoch, value) for epoch, value in zip(curve.epochs, column, strict=True) if value is not None]
    if not points:
        return Markup("")
    way = "L".join(f"{number(x(epoch))} {number(y(value))}" for epoch, value in points)
    dashes = "6 4" if is_alone and is_train else None if is_alone or is_train else dash(series)
    thick = 2.25 if is_alone or not is_train else 1
    parts = [
        element(
            "path", d=f"M{way}", fill="none", stroke=series_colour(series), stroke_width=thick, stroke_linejoin="round",
            stroke_dasharray=dashes, class_="curve",
        )
    ]  # fmt: skip
    for epoch, value in points:
        tooltip = f"{curve.name}, epoch {epoch}: {value:.4g}"
        if epoch == curve.chosen_epoch and not is_train:
            parts.append(marker(series, x(epoch), y(value), radius=5.5, tooltip=f"{tooltip} (chosen)"))
        elif len(points) <= _FEW_EPOCHS:
            parts.append(marker(series, x(epoch), y(value), radius=3, tooltip=tooltip))
    return joined(parts)


def _chosen_line(area: Area, place: float, epoch: int) -> Markup:
    text = f"epoch {epoch} kept"
    is_right = place + text_width(text) + 6 > area.right
    dashed = line(place, area.top - 2, place, area.bottom, colour=MUTED, stroke_dasharray="2 3")
    return dashed + label(text, place + (-6 if is_right else 6), area.top - 2, anchor="end" if is_right else "start")


def _names_at_ends(area: Area, x: Scale, y: Scale, lines: Sequence[tuple[int, LearningCurve, Values, bool]]) -> Markup:
    """Training and validation, named beside their lines where these are farthest apart."""
    columns = {is_train: (curve.epochs, column) for _, curve, column, is_train in lines}
    if len(columns) < 2:
        return Markup("")
    (epochs, train), (_, val) = columns[True], columns[False]
    both = [(e, t, v) for e, t, v in zip(epochs, train, val, strict=True) if t is not None and v is not None]
    if not both:
        return Markup("")
    inner = [each for each in both if x(each[0]) > area.left + 0.35 * area.width] or both
    epoch, t, v = max(inner, key=lambda each: abs(each[1] - each[2]))
    place = min(max(x(epoch), area.left + 40), area.right - 40)
    upper, lower = sorted((y(t), y(v)))
    above = max(upper - 9, area.top + 22)
    below = min(max(lower + 18, above + LINE_PX), area.bottom - 5)
    names = ("training", "validation") if t > v else ("validation", "training")
    texts = zip(names, (min(above, below - LINE_PX), below), strict=True)
    return joined([on_paper(label(name, place, row, anchor="middle", colour=INK)) for name, row in texts])


def _caption(curves: Sequence[LearningCurve], figure_name: str | None) -> str:
    if len(curves) > 1:
        kept = [f"{curve.name} {curve.chosen_epoch} of {curve.epochs[-1]}" for curve in curves if curve.chosen_epoch]
        return f"The epochs kept: {'; '.join(kept)}." if kept else f"{len(curves)} trainings, epoch by epoch."
    curve, sentences = curves[0], list[str]()
    best_loss = _best(curve, curve.val_loss, highest=False)
    best_figure = _best(curve, curve.figure, highest=True)
    if figure_name is not None and best_figure:
        sentences.append(
            f"Validation {figure_name} is highest after epoch {best_figure[0]}: {100 * best_figure[1]:.1f} %."
        )
    if best_loss:
        sentences.append(f"Validation loss is lowest after epoch {best_loss[0]}: {best_loss[1]:.3f}.")
    if curve.chosen_epoch:
        sentences.append(f"Of {counted(curve.epochs[-1], 'epoch')}, number {curve.chosen_epoch} was kept.")
    return " ".join(sentences) or f"{counted(curve.epochs[-1], 'epoch')}."


def _best(curve: LearningCurve, column: Values, *, highest: bool) -> tuple[int, float] | None:
    points = [(epoch, value) for epoch, value in zip(curve.epochs, column, strict=True) if value is not None]
    if not points:
        return None
    return max(points, key=lambda point: (point[1] if highest else -point[1], -point[0]))


def _notes(curves: Sequence[LearningCurve]) -> Iterator[str]:
    if len(curves) > SERIES:
        yield f"{len(curves) - SERIES} more runs are not drawn: {SERIES} are as many as can be told apart."
    if len(curves) > 1:
        yield "Losses compare only between runs that were trained with the same loss."
    for curve in curves[:SERIES]:
        if len(curve.epochs) > MOST_POINTS:
            yield f"{curve.name}: {len(curve.thinned().epochs)} of {len(curve.epochs)} epochs are drawn, evenly spaced."


def _table(curves: Sequence[LearningCurve], figure_name: str | None) -> tuple[tuple[str, ...], ...]:
    header = (
        "run",
        "epoch",
        "training loss",
        "validation loss",
        *([f"{figure_name} (%)"] if figure_name else []),
        "kept",
    )
    rows = []
    for curve in curves:
        for epoch, train, val, figure in zip(curve.epochs, curve.train_loss, curve.val_loss, curve.figure, strict=True):
            shown = [f"{100 * figure:.2f}" if figure is not None else ""] if figure_name else []
            losses = ["" if value is None else f"{value:.4f}" for value in (train, val)]
            rows.append((curve.name, str(epoch), *losses, *shown, "kept" if epoch == curve.chosen_epoch else ""))
    return (header, *rows)


def finite(value: object) -> float | None:
    """A number that can be drawn; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) else None  # type: ignore[arg-type]
