"""Charts of who finds what at which rank: rank histogram, recall by length of caption and number of events."""

import numpy as np
import numpy.typing as npt

from atrkit.metrics.query_values import QueryValues, audio_to_text_values, text_to_audio_values
from atrkit.metrics.tie_blocks import TieBlocks, audio_to_text_blocks, text_to_audio_blocks
from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.rank_histogram import rank_histogram, rank_histogram_chart
from atrkit.reports.charts.recall_by import GroupRecall, groups_of_counts, recall_by_chart, recall_by_group
from atrkit.reports.directions import CAPITALISED
from atrkit.text.normalise import normalise_caption
from atrkit.workflows.report_material import ChartMaterial, Scaled, absent

TO_AUDIO, TO_TEXT = CAPITALISED["text_to_audio"], CAPITALISED["audio_to_text"]
_FIGURES = ("R@1", "R@10")
_KS = (1, 10)
_SEED = 0  # of the resamples: a report made again is the same

Blocks = dict[str, TieBlocks]  # direction -> where what is relevant stands
Values = dict[str, QueryValues]  # direction -> a value for every query


def tie_blocks(material: ChartMaterial, scaled: Scaled | str) -> Blocks:
    """Both directions, audio-to-text by scaled columns where the run's is; text-to-audio alone where it is judged."""
    blocks = {TO_AUDIO: text_to_audio_blocks(material.matrix, material.pairs)}
    if material.result.get("audio_to_text") is not None:
        is_scaled = material.column_scaling != "none" and isinstance(scaled, Scaled)
        ranking = scaled.ranking if isinstance(scaled, Scaled) and is_scaled else material.matrix
        blocks[TO_TEXT] = audio_to_text_blocks(ranking, material.pairs)
    return blocks


def query_values(material: ChartMaterial, blocks: Blocks) -> Values:
    """What each query gives, of the directions that there are."""
    of_direction = {TO_AUDIO: text_to_audio_values, TO_TEXT: audio_to_text_values}
    return {
        direction: of_direction[direction](material.matrix, material.pairs, _KS, blocks=of_queries)
        for direction, of_queries in blocks.items()
    }


def rank_histograms(blocks: Blocks) -> Chart:
    """At which rank queries of each direction find the first relevant candidate."""
    return rank_histogram_chart([rank_histogram(direction, of_queries) for direction, of_queries in blocks.items()])


def recall_by_length(material: ChartMaterial, values: Values) -> Chart:
    """Recall of captions, as queries, by their number of words."""
    chart_id, title = "recall-by-length", "Recall by length of the caption"
    if material.caption_texts is None:
        return absent(chart_id, title, "The words of the captions are not known: name them with --truth.")
    words = {
        caption_id: len(normalise_caption(text).split())
        for caption_id, text in zip(material.matrix.caption_ids, material.caption_texts, strict=True)
    }
    found = values[TO_AUDIO]
    groups = _grouped(found, np.array([words[query] for query in found.query_ids]))
    return recall_by_chart(chart_id, title, "words", {TO_AUDIO: groups})


def recall_by_events(material: ChartMaterial, values: Values) -> Chart:
    """Recall of both directions by the number of sound events in the query's clip."""
    chart_id, title = "recall-by-events", "Recall by number of sound events"
    known = material.events_of_clip
    if known is None:
        return absent(chart_id, title, "The dataset does not say how many sound events a clip has.")
    panels, notes = dict[str, list[GroupRecall]](), list[str]()
    for direction, found in values.items():
        clips_Q = [found.clip_ids[clip] for clip in found.clip_Q]
        is_known_Q = np.array([clip_id in known for clip_id in clips_Q])
        if not is_known_Q.any():
            return absent(chart_id, title, "The dataset does not say how many sound events these clips have.")
        counts_Q = np.array([known.get(clip_id, 0) for clip_id in clips_Q])
        panels[direction] = _grouped(found, counts_Q, is_known_Q)
        if unknown := int(np.count_nonzero(~is_known_Q)):
            notes.append(f"{direction}: {unknown:,} queries are left out, as the events of their clips are not known.")
    return recall_by_chart(chart_id, title, "events", panels, notes)


def _grouped(
    found: QueryValues, counts_Q: npt.NDArray[np.int64], is_known_Q: npt.NDArray[np.bool_] | None = None
) -> list[GroupRecall]:
    kept_Q = np.ones(len(counts_Q), dtype=bool) if is_known_Q is None else is_known_Q
    group_Q = np.full(len(counts_Q), -1)
    group_Q[kept_Q], names = groups_of_counts(counts_Q[kept_Q])
    hits = {figure: found.values[figure] for figure in _FIGURES}
    return recall_by_group(hits, group_Q, names, found.clip_Q, np.random.default_rng(_SEED))
