"""The charts of a report, from the scores and records of runs made by hand."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.relevance import RelevantPairs
from atrkit.scoring import rank_captions
from atrkit.store.scores import Calibration
from atrkit.workflows.report_figures import ChartMaterial, comparison_charts, run_charts
from atrkit.workflows.report_records import events_of_clips
from tests.reports.charts.drawn import HOSTILE, SVG, WIDTHS, all_text, boxes, column, drawing, floats, overlapping

CLIPS, EACH = 40, 3
IDS = [f"clip {a:02}" for a in range(CLIPS)]
TEXTS = [("rain " * (1 + c % 9)).strip() for c in range(CLIPS * EACH)]
CHART_IDS = [
    "learning-curves", "rank-histogram", "recall-by-length", "recall-by-events", "pair-scores", "caption-columns",
    "hub-captions", "first-place-shares", "perturbations",
]  # fmt: skip


def scores(seed=0, levels=None, clips=CLIPS, each=EACH):
    generator = np.random.default_rng(seed)
    scores_AC = generator.normal(-6, 1, size=(clips, clips * each)) + generator.normal(size=clips * each)
    own = np.repeat(np.arange(clips), each)
    scores_AC[own, np.arange(clips * each)] += 2
    if levels:
        scores_AC = np.round(scores_AC * levels) / levels
    ids = IDS[:clips]
    captions = [f"{clip}#{number}" for clip in ids for number in range(each)]
    return ScoreMatrix(scores_AC.astype(np.float32), ids, captions, [ids[a] for a in own])


def material(name="study/mean/seed-1", matrix=None, **differing):
    matrix = scores() if matrix is None else matrix
    texts = (TEXTS * len(matrix.caption_ids))[: len(matrix.caption_ids)]
    given = {
        "scoring": "cosine",
        "column_scaling": "none",
        "result": evaluate(matrix),
        "caption_texts": texts,
        **differing,
    }
    return ChartMaterial(name=name, matrix=matrix, **given)


def run_folder(folder, epochs=3, keep_best="mean_R@1", **more):
    folder.mkdir()
    lines = [
        {"epoch": n, "train_loss": 3 / n, "val_loss": 4 / n, "mean_R@1": 0.1 * n, **more} for n in range(1, epochs + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "finished.json").write_text(json.dumps({"best_epoch": epochs, "keep_best": keep_best}))
    return folder


def with_perturbations(folder, run="a"):
    test = {"kind": "invert", "set_name": "sup", "accuracy": 0.75, "ci_low": 0.6, "ci_high": 0.9, "n": 44}
    none = {"kind": "invert", "set_name": "seq", "accuracy": None, "ci_low": None, "ci_high": None, "n": 0}
    (folder / "perturbation_results.json").write_text(json.dumps({"run": run, "perturbation": {"tests": [test, none]}}))
    return folder


def charts_of(given):
    return {chart.id: chart for chart in run_charts(given)}


def rows_of(chart):
    return [dict(zip(chart.table[0], row, strict=True)) for row in chart.table[1:]]


def test_every_chart_is_there_in_its_order_or_says_why_not(tmp_path):
    folder = with_perturbations(run_folder(tmp_path / "run"))
    events = {clip_id: 1 + a % 3 for a, clip_id in enumerate(IDS)}
    whole = run_charts(material(run_folder=folder, output_folder=folder, events_of_clip=events))
    bare = run_charts(material(caption_texts=None))

    assert [chart.id for chart in whole] == [chart.id for chart in bare] == CHART_IDS
    assert all(chart.svg and chart.table and chart.caption for chart in whole)
    assert [chart.id for chart in bare if not chart.svg] == [
        "learning-curves", "recall-by-length", "recall-by-events", "perturbations",
    ]  # fmt: skip
    assert all(chart.notes and not chart.table for chart in bare if not chart.svg)


def test_ranks_are_those_of_a_sort():
    matrix = scores()
    rows = rows_of(charts_of(material(matrix=matrix))["rank-histogram"])
    first = {"Text to audio": [], "Audio to text": []}
    for c in range(CLIPS * EACH):
        first["Text to audio"].append(1 + np.argsort(-matrix.scores_AC[:, c]).tolist().index(c // EACH))
    for a in range(CLIPS):
        order = np.argsort(-matrix.scores_AC[a]).tolist()
        first["Audio to text"].append(1 + min(order.index(c) for c in range(a * EACH, a * EACH + EACH)))

    for direction, ranks in first.items():
        of_direction = [row for row in rows if row["direction"] == direction]
        assert sum(floats(row["queries"] for row in of_direction)) == len(ranks)
        for row in of_direction:
            low, _, high = row["rank"].partition("–")
            assert int(row["queries"]) == sum(int(low) <= rank <= int(high or low) for rank in ranks)


def test_scaled_columns_are_ranked_scaled():
    """The first caption of each clip by `rank_captions`, which sorts by scaled, then by raw loss."""
    matrix = scores(3)
    chart = charts_of(material(matrix=matrix, scoring="cross_entropy", column_scaling="minmax"))["rank-histogram"]
    best_A = rank_captions(-matrix.scores_AC, column_scaling="minmax")[:, 0]
    hits = sum(c // EACH == a for a, c in enumerate(best_A))

    assert next(row["queries"] for row in rows_of(chart) if row["direction"] == "Audio to text") == str(hits)
    assert hits != sum(c // EACH == a for a, c in enumerate((-matrix.scores_AC).argmin(axis=1)))


def test_recall_by_length_is_that_of_the_captions_with_as_many_words():
    matrix = scores()
    for row in rows_of(charts_of(material(matrix=matrix))["recall-by-length"]):
        low, _, high = row["words"].partition("–")
        members = [c for c in range(CLIPS * EACH) if int(low) <= len(TEXTS[c].split()) <= int(high or low)]
        ranks = [1 + sum(matrix.scores_AC[:, c] > matrix.scores_AC[c // EACH, c]) for c in members]
        assert int(row["queries"]) == len(members)
        assert float(row["R@1 (%)"]) == pytest.approx(100 * np.mean([rank <= 1 for rank in ranks]), abs=0.006)
        assert float(row["R@10 (%)"]) == pytest.approx(100 * np.mean([rank <= 10 for rank in ranks]), abs=0.006)


def test_recall_by_events_is_that_of_the_clips_with_as_many():
    matrix = scores()
    events = {clip_id: 1 + a % 2 for a, clip_id in enumerate(IDS[:-1])}  # the last one is not known
    chart = charts_of(material(matrix=matrix, events_of_clip=events))["recall-by-events"]
    expected = {}
    for number in (1, 2):
        clips = [a for a in range(CLIPS - 1) if 1 + a % 2 == number]
        captions = [c for a in clips for c in range(a * EACH, a * EACH + EACH)]
        hit_C = [matrix.scores_AC[:, c].argmax() == c // EACH for c in captions]
        hit_A = [matrix.scores_AC[a].argmax() // EACH == a for a in clips]
        expected |= {("Text to audio", str(number)): hit_C, ("Audio to text", str(number)): hit_A}

    # 19 or 20 clips are too few for two groups of clips, and enough for two of captions
    found = {(row["direction"], row["events"]): row for row in rows_of(chart)}
    for key in [("Text to audio", "1"), ("Text to audio", "2")]:
        assert float(found[key]["R@1 (%)"]) == pytest.approx(100 * np.mean(expected[key]), abs=0.006)
        assert int(found[key]["queries"]) == len(expected[key])
    assert "Text to audio: 3 queries are left out, as the events of their clips are not known." in chart.notes


def test_hubs_are_counted_before_and_after_scaling():
    matrix = scores(7)
    chart = charts_of(material(matrix=matrix, scoring="cross_entropy", column_scaling="minmax"))["hub-captions"]
    raw = np.bincount((-matrix.scores_AC).argmin(axis=1), minlength=CLIPS * EACH)
    scaled = np.bincount(rank_captions(-matrix.scores_AC, column_scaling="minmax")[:, 0], minlength=CLIPS * EACH)
    order = np.argsort(-raw, kind="stable")[: len(chart.table) - 1]

    assert floats(column(chart, "clips, raw scores")) == raw[order].tolist()
    assert floats(column(chart, "clips, min-max scaled scores")) == scaled[order].tolist()
    assert column(chart, "caption") == [TEXTS[c] for c in order]
    assert raw.max() > scaled.max()


def test_a_captioner_shows_losses_and_a_dual_encoder_scores():
    losses = charts_of(material(scoring="cross_entropy", column_scaling="minmax"))
    cosines = charts_of(material())

    assert "lower is better" in all_text(drawing(losses["pair-scores"], "narrow"))
    assert "higher is better" in all_text(drawing(cosines["pair-scores"], "narrow"))
    own = floats(column(losses["caption-columns"], "own clip"))
    assert all(value > 0 for value in own[::2])  # of losses; the scores are below 0
    assert all(value < 0 for value in floats(column(cosines["caption-columns"], "own clip"))[::2])


def test_scaled_scores_of_a_dual_encoder_go_from_the_worst_clip_to_the_best():
    matrix = scores()
    low, high = matrix.scores_AC.min(axis=0), matrix.scores_AC.max(axis=0)
    scaled_AC = (matrix.scores_AC - low) / (high - low)
    own = {text: [] for text in TEXTS}
    for c, text in enumerate(TEXTS):
        own[text].append(scaled_AC[c // EACH, c])
    rows = [row for row in rows_of(charts_of(material(matrix=matrix))["caption-columns"]) if row["scores"] == "scaled"]

    assert {(row["lowest"], row["highest"]) for row in rows} == {("0", "1")}
    for row in rows:
        assert min(abs(float(row["own clip"]) - value) for value in own[row["caption"]]) < 1e-3


@pytest.mark.parametrize("scaling", ["minmax-calib", "pmi"])
def test_other_scalings_use_their_calibration_clips(scaling):
    losses = -scores(9).scores_AC[:5]
    calibration = Calibration(losses, [f"train {k}" for k in range(5)])
    given = material(scoring="cross_entropy", column_scaling=scaling, calibration=calibration)
    chart = charts_of(given)["hub-captions"]
    ranking = rank_captions(-given.matrix.scores_AC, column_scaling=scaling, calibration_KC=losses)[:, 0]

    assert max(floats(column(chart, chart.table[0][2]))) <= np.bincount(ranking).max()
    top = TEXTS.index(chart.table[1][0])
    assert (
        float(chart.table[1][2]) == pytest.approx(np.count_nonzero(ranking == top), abs=1e-9)
        or TEXTS.count(TEXTS[top]) > 1
    )


def test_infinite_scores_are_not_scaled_and_it_is_said():
    matrix = scores()
    scores_AC = matrix.scores_AC.copy()
    scores_AC[0, 5] = -np.inf
    shortlist = ScoreMatrix(scores_AC, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)
    charts = charts_of(material(matrix=shortlist))

    assert charts["caption-columns"].notes == ("1 score is infinite, so that columns cannot be scaled.",)
    assert len(charts["hub-captions"].table[0]) == 2
    assert "inf" not in "".join(re.findall(r'(?:x|y|d|width|cx|cy)="([^"]*)"', str(charts["pair-scores"].svg)))


def test_judged_relevance_has_one_direction():
    matrix = scores()
    pairs = RelevantPairs(np.array([0, 0, 4]), np.array([0, 7, 1]), np.array([1, 1, 1]))
    result = {"text_to_audio": {}, "audio_to_text": None}
    charts = charts_of(material(matrix=matrix, pairs=pairs, result=result))

    assert {row["direction"] for row in rows_of(charts["rank-histogram"])} == {"Text to audio"}
    assert sum(floats(column(charts["rank-histogram"], "queries"))) == 2
    assert "3 clips" in charts["hub-captions"].caption


def test_records_of_a_run_become_its_curves(tmp_path):
    chart = charts_of(material(run_folder=run_folder(tmp_path / "run")))["learning-curves"]

    assert floats(column(chart, "validation loss")) == [4.0, 2.0, pytest.approx(4 / 3, abs=1e-4)]
    assert floats(column(chart, "mean R@1 (%)")) == [10, 20, 30]
    assert column(chart, "kept") == ["", "", "kept"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "closed form"), ("{", "cannot be read"), ("[1]\n", "does not hold"), ("", "does not hold")],
)
def test_records_that_cannot_be_read_are_said(tmp_path, content, why):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    chart = charts_of(material(run_folder=tmp_path))["learning-curves"]

    assert not chart.svg and why in chart.notes[0]


def test_a_run_without_perturbations_names_the_command(tmp_path):
    chart = charts_of(material(output_folder=tmp_path))["perturbations"]

    assert not chart.svg
    assert "atrkit eval --run study/mean/seed-1 --metric perturbation" in chart.notes[0]


def test_runs_side_by_side(tmp_path):
    first = material(
        "study/mean/seed-1", run_folder=run_folder(tmp_path / "a"), output_folder=with_perturbations(tmp_path / "a")
    )
    second = material(
        "study/max/seed-1", scores(1), run_folder=run_folder(tmp_path / "b"), output_folder=tmp_path / "b"
    )
    curves, recall, perturbations = comparison_charts([first, second])

    assert set(column(curves, "run")) == {"mean/seed-1", "max/seed-1"}
    assert len(recall.table) - 1 == 2 * 3 * 2
    shown = {(row["direction"], row["figure"], row["run"]): float(row["%"]) for row in rows_of(recall)}
    assert shown["Audio to text", "R@5", "max/seed-1"] == pytest.approx(
        100 * evaluate(scores(1))["audio_to_text"]["R@5"], abs=0.006
    )
    assert column(perturbations, "run") == ["mean/seed-1"]
    assert any("max/seed-1: not made yet: atrkit eval" in note for note in perturbations.notes)


def test_intervals_are_those_of_the_results():
    result = evaluate(scores())
    result["text_to_audio"]["ci"] = {"R@1": [0.25, 0.5]}
    _, recall, _ = comparison_charts([material(result=result), material("other")])
    row = next(row for row in rows_of(recall) if row["direction"] == "Text to audio" and row["figure"] == "R@1")

    assert row["95 % interval"] == "25.00 to 50.00"


def test_runs_on_different_pools_are_not_compared():
    _, recall, _ = comparison_charts([material(), material("other", scores(clips=10))])

    assert not recall.svg and "different pools" in recall.notes[0]


def test_one_run_under_two_scalings_says_which(tmp_path):
    runs = [material(column_scaling=scaling, run_folder=tmp_path) for scaling in ("none", "minmax")]
    _, recall, _ = comparison_charts(runs)

    assert set(column(recall, "run")) == {"seed-1 (none)", "seed-1 (minmax)"}


def edge_cases(tmp_path):
    texts = [HOSTILE[c % len(HOSTILE)] for c in range(CLIPS * EACH)]
    folder = with_perturbations(run_folder(tmp_path / "run", epochs=1))
    folders = {"run_folder": folder, "output_folder": folder}
    events = {clip_id: a % 7 for a, clip_id in enumerate(IDS)}
    yield material(**folders, events_of_clip=events)
    yield material(caption_texts=texts, name="<b>&\"'/x", **folders, events_of_clip=events)
    yield material(matrix=scores(clips=1, each=1), caption_texts=["rain"], **folders, events_of_clip=events)
    yield material(matrix=scores(clips=1, each=5), scoring="cross_entropy", column_scaling="minmax", **folders)
    yield material(matrix=scores(levels=0.01), **folders, events_of_clip=events)  # all scores are equal
    yield material(matrix=scores(levels=1), scoring="cross_entropy", column_scaling="minmax", **folders)


@pytest.fixture(scope="module")
def all_charts(tmp_path_factory):
    given = list(edge_cases(tmp_path_factory.mktemp("edge")))
    return [chart for each in given for chart in (*run_charts(each), *comparison_charts([each, each]))]


def test_every_drawing_is_well_formed_described_and_has_no_text_on_text(all_charts):
    for chart in all_charts:
        if not chart.svg:
            continue
        root = ET.fromstring(str(chart.svg))
        ids = [each.get("id") for each in root.iter() if each.get("id")]
        assert len(ids) == len(set(ids))
        assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
            "div", "svg", "title", "desc", "g", "text", "rect", "line", "path", "circle",
        }  # fmt: skip
        for width in WIDTHS:
            svg = drawing(chart, width)
            assert svg.get("role") == "img"
            names = svg.get("aria-labelledby").split()
            described = {each.get("id"): "".join(each.itertext()) for each in svg if each.get("id") in names}
            assert list(described) == names and all(described.values())
            assert overlapping(svg) == [], (chart.id, width)


def test_nothing_is_drawn_outside(all_charts):
    for chart in all_charts:
        for width in WIDTHS if chart.svg else ():
            svg = drawing(chart, width)
            _, _, right, bottom = map(float, svg.get("viewBox").split())
            assert right == {"narrow": 360, "wide": 720}[width]
            for text, left, top, end, low in boxes(svg):
                assert left >= -2 and top >= 0 and low <= bottom, (chart.id, width, text)
                assert end <= right + 2 or len(text) > 30, (chart.id, width, text)
            for name in ("x1", "x2", "x", "cx"):
                places = [float(each.get(name)) for each in svg.iter() if each.get(name)]
                assert all(-0.1 <= place <= right + 0.1 for place in places), (chart.id, name)


def test_every_number_is_finite(all_charts):
    for chart in all_charts:
        assert not re.search(r"\b(?:nan|inf|None)\b", str(chart.svg))
        assert not any(re.fullmatch(r"-?(?:nan|inf)", cell) for row in chart.table for cell in row)


def test_the_same_numbers_give_the_same_drawing(tmp_path):
    folder = run_folder(tmp_path / "run")
    events = {clip_id: 1 + a % 3 for a, clip_id in enumerate(IDS)}
    first, second = (run_charts(material(run_folder=folder, events_of_clip=events)) for _ in range(2))

    assert first == second


def test_fifty_thousand_clips_are_not_drawn_one_by_one():
    generator = np.random.default_rng(0)
    ids = [f"clip {a}" for a in range(50_000)]
    matrix = ScoreMatrix(generator.normal(size=(50_000, 3)), ids, ["a", "b", "c"], ids[:3])
    result = {"audio_to_text": {}}
    charts = run_charts(material(matrix=matrix, result=result, events_of_clip=dict.fromkeys(ids, 2)))

    assert sum(len(chart.svg) for chart in charts) < 150_000


def test_events_are_counted_from_the_file_beside_the_manifest(tmp_path):
    lines = [{"id": "a", "layout": "one", "events": [{}]}, {"id": "b", "layout": "three", "events": [{}, {}, {}]}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert events_of_clips(tmp_path) == {"a": 1, "b": 3}
    assert events_of_clips(tmp_path / "nowhere") is None
