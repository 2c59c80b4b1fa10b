"""The lines below a recall table: order, hubs, ties, duplicates, and whatever else must be known to believe it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from atrkit.reports.directions import HYPHENATED
from atrkit.reports.figure_cells import is_rank
from atrkit.reports.progress import as_minutes


def notes_of(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines about one result; what is zero or was not computed has none."""
    yield from rerank_note(result.get("rerank"))
    if not result.get("relevance"):  # they are of all captions, and the table is of those that were judged
        yield from _twin_order(result.get("twin_order"))
        yield from _hubness(result.get("hubness"))
    yield from _listed(result.get("listed"))
    yield from _below_chance(result)
    yield from pool_notes([result])
    yield from target_note(result.get("target"))
    yield from trained_on_note(result)


def pool_notes(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines about the pool and its ground truth, each once for all results; counts that differ become a range.

    Args:
        results: of one pool, by one ground truth.
    """
    first = results[0]
    yield from _ties(results)
    yield from _ground_truth(first)
    yield from _relevance(results)
    yield from _duplicates(first.get("duplicate_captions"), first.get("dedup"))
    yield from _clips_without_caption(first.get("audio_to_text") or {})


def captions_of(result: Mapping[str, Any]) -> str:
    """The captions that were queries, as a title counts them."""
    return f"{result['text_to_audio']['queries']:,} {'judged ' if result.get('relevance') else ''}captions"


def _twin_order(twins: Mapping[str, Any] | None) -> Iterator[str]:
    if twins:
        accuracy, low, high = (100 * twins[key] for key in ("accuracy", "ci_low", "ci_high"))
        yield (
            f"twin order {accuracy:.1f} % [{low:.1f}, {high:.1f}], n = {twins['n']:,}, {_p(twins['p'])} (chance 50.0 %)"
        )
        if twins.get("incomplete_groups"):
            yield f"  {twins['incomplete_groups']:,} twin groups are incomplete: left out"
        if twins.get("unpaired_captions"):
            yield f"  {twins['unpaired_captions']:,} captions have no counterpart on the twin: left out"


def _hubness(hubness: Mapping[str, Any] | None) -> Iterator[str]:
    if hubness:
        clips, captions = hubness["text_to_audio"], hubness["audio_to_text"]
        raw = hubness.get("audio_to_text_raw")
        yield (
            f"distinct at rank 1: {_count(clips)} clips for {clips['queries']:,} captions, "
            f"{_count(captions)} captions for {captions['queries']:,} clips"
            + (f" ({_count(raw)} unscaled)" if raw else "")
        )


def _listed(listed: Mapping[str, int] | None) -> Iterator[str]:
    """What ranked lists leave open."""
    if listed:
        depth = f"{listed['least']:,}" + (f" to {listed['most']:,}" if listed["most"] > listed["least"] else "")
        yield (
            f"lists of the best {depth} clips: {listed['relevant_not_listed']:,} of {listed['relevant']:,} relevant "
            "clips are not listed"
        )
        if listed.get("cut_in_ties"):
            yield f"  {listed['cut_in_ties']:,} lists end with equal scores, and may have been cut between such"
        yield "  -: depends on clips below the lists, so it is not known"


def _below_chance(result: Mapping[str, Any]) -> Iterator[str]:
    """What scores of the wrong sign look like; what is not known, or cannot be worse, says nothing."""
    better = [
        -(value - chance) if is_rank(name) else value - chance
        for figures in (result.get(direction) for direction in HYPHENATED)
        for name, value in (figures or {}).items()
        if value is not None and (chance := (figures or {}).get(f"chance_{name}")) is not None and chance != 1.0
    ]
    if better and max(better) < 0:
        yield "NOTE: below chance in every figure: are these distances? higher is better; negate them"


def _ties(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    counts = {name: [each[name]["tied_queries"] for each in results] for name in HYPHENATED if results[0].get(name)}
    if any(map(any, counts.values())):
        shown = ", ".join(
            f"{_range([f'{each:,}' for each in sorted(of_direction)])} of {results[0][name]['queries']:,} "
            f"{HYPHENATED[name]}"
            for name, of_direction in counts.items()
        )
        yield f"ties: {shown} queries (at expectation)"


def _range(shown: Sequence[str]) -> str:
    """The first and the last, where they do not read the same."""
    return shown[0] if shown[0] == shown[-1] else f"{shown[0]} to {shown[-1]}"


def _ground_truth(result: Mapping[str, Any]) -> Iterator[str]:
    """What counts as relevant, where it is not each caption's own clip alone."""
    relevance = result.get("relevance")
    if relevance:
        least, highest = relevance["least_grade"], relevance["highest_grade"]
        half = ", half of the highest" if relevance["graded"] and least == (highest + 1) // 2 else ""
        yield (
            f"relevant by {relevance['name']}: {relevance['relevant']:,} clips to {relevance['queries']:,} captions"
            + (f" (grade {least} of {highest}{half}, or more)" if relevance["graded"] else "")
        )
    if result.get("dedup") == "text":
        yield "captions with the same words are relevant to each other's clips (--dedup text)"


def _relevance(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What judgements do not cover."""
    relevance, to_audio = results[0].get("relevance"), results[0]["text_to_audio"]
    if not relevance:
        return
    yield "  no audio to text: clips were judged for captions, not captions for clips"
    if "nDCG_queries" in to_audio:
        yield f"  nDCG@10 over {to_audio['nDCG_queries']:,} captions, by all grades above 0"
    if relevance["unjudged_in_top_10"] is not None:  # of lists of fewer than ten it is not known
        unjudged = [
            f"{100 * share:.1f}" for share in sorted(each["relevance"]["unjudged_in_top_10"] for each in results)
        ]
        yield f"  not judged: {_range(unjudged)} % of the top 10; it counts as not relevant"
    if relevance["queries_without_relevant"]:
        yield f"  {relevance['queries_without_relevant']:,} judged captions have no relevant clip here: no query"
    if relevance["unknown_queries"]:
        yield f"  {relevance['unknown_queries']:,} judged captions are not among these captions"
    if relevance["judgements_of_unknown_clips"]:
        yield f"  {relevance['judgements_of_unknown_clips']:,} judgements are of clips that are not among these"


def _duplicates(duplicates: Mapping[str, Any] | None, dedup: str | None) -> Iterator[str]:
    if duplicates and duplicates["captions"]:
        shared = f"captions shared by clips: {duplicates['captions']:,} of {duplicates['of']:,}"
        ceiling = f"text-to-audio R@1 cannot pass {100 * duplicates['ceiling_text_to_audio_R1']:.1f} %"
        yield shared if dedup == "text" else f"{shared}; {ceiling}"


def _clips_without_caption(to_text: Mapping[str, Any]) -> Iterator[str]:
    if to_text.get("skipped_queries"):
        yield f"{to_text['skipped_queries']:,} clips without captions: only candidates, no query in audio to text"


def target_note(target: Mapping[str, Any] | None) -> Iterator[str]:
    """The published row that stands beside the measured ones."""
    if target:
        place = [f"paper {target['paper']}"]
        place += [f"table {target['table']}"] if target.get("table") is not None else []
        place += [f"row {target['row']}"] if target.get("row") else []
        yield f"the recipe aims at {', '.join(place)}"


def rerank_note(rerank: Mapping[str, Any] | None) -> Iterator[str]:
    """What a shortlist was, and what recall it leaves room for."""
    if rerank:
        yield (
            f"re-ranked: the {rerank['k']:,} best of {rerank['run']}, {rerank['mean_clips']:,.1f} clips per caption "
            f"and {rerank['mean_captions']:,.1f} captions per clip ({100 * rerank['share_of_pairs']:.1f} % of all pairs"
            + (f", {as_minutes(rerank['seconds'])})" if "seconds" in rerank else ")")
        )
        yield (
            f"  shortlist recall {100 * rerank['text_to_audio_recall']:.1f} % text to audio, "
            f"{100 * rerank['audio_to_text_recall']:.1f} % audio to text: R@K up to {rerank['k']:,} cannot pass it"
        )


def trained_on_note(result: Mapping[str, Any]) -> Iterator[str]:
    """What to think of figures on clips that the model, or what it relies on, has seen."""
    clips, by = result.get("clips_trained_on"), result.get("clips_trained_on_by", {})
    if clips:
        who = ", ".join(f"{name}: {count:,}" for name, count in by.items())
        others = f" ({who})" if by.keys() - {result["run"]} else ""
        yield f"NOTE: trained on {clips:,} of these clips{others}: figures on them measure memory"


def _count(hubness: Mapping[str, Any]) -> str:
    return f"{hubness['distinct_at_rank_1']:,.1f}".removesuffix(".0")


def _p(value: float) -> str:
    return "p < .0001" if value < 0.0001 else f"p = {value:.4f}".replace("0.", ".", 1)
