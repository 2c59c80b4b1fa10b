"""All that `atrkit info` knows of a dataset: the summary, and what must be known to compare figures on it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.datasets.manifest import PROBLEMS_NAME, Dataset, pool_id_of_clips
from atrkit.datasets.missing import MISSING_NAME, MissingClip, reasons_by_split
from atrkit.datasets.relevance import KeptQrels
from atrkit.datasets.verify import Verification, folders_gone
from atrkit.metrics.duplicates import duplicates_among
from atrkit.reports.counting import counted
from atrkit.reports.dataset_summary import dataset_record, note_lines, splits_table, title_line
from atrkit.reports.licences import short_licence
from atrkit.reports.style import RULED

_SHOWN_REASONS = 5
_SHOWN_CHANGES = 20
_NOT_STATED = "not stated"


def info_record(
    dataset: Dataset,
    missing: Sequence[MissingClip] | None,
    qrels: Sequence[KeptQrels],
    verification: Verification | None = None,
) -> dict[str, Any]:
    """Everything as JSON, from which `info_view` makes what people see.

    Args:
        dataset: to be described.
        missing: clips that it should have; None when that is not on record.
        qrels: judgements beside its manifest.
        verification: what came of reading its files again, when that was asked for.

    Returns:
        The keys of `dataset_record`; for each split also "duplicate_captions" (captions whose words another clip of
        the split has too), "ceiling_text_to_audio_R1" (fraction) and "pool_id"; "missing" (split -> reason -> clips),
        "audio" (rate in Hz -> files, of the clips' own files and of copies), "clip_licences", "relevance" and, where
        there was one, "verification".
    """
    record = dataset_record(dataset, missing)
    for name, split in record["splits"].items():
        split |= _split_facts(dataset, name)
    reasons = reasons_by_split(missing or ())
    known = {split: reasons[split] for split in record["splits"] if split in reasons}
    record["missing"] = None if missing is None else known
    record["audio"] = {
        "originals": _rates(clip.sample_rate_hz for clip in dataset.clips),
        "copies": _rates(copy.sample_rate_hz for clip in dataset.clips for copy in clip.copies),
    }
    licences = Counter(clip.metadata.get("licence") or _NOT_STATED for clip in dataset.clips if clip.metadata)
    record["clip_licences"] = {} if licences.keys() <= {_NOT_STATED} else dict(licences.most_common())
    record["relevance"] = [
        {"name": kept.name, "split": kept.split, "queries": kept.queries, "judgements": kept.judgements}
        for kept in qrels
    ]
    if verification is not None:
        record["verification"] = _verification_record(verification)
    return record


def _split_facts(dataset: Dataset, split: str) -> dict[str, Any]:
    clips = [clip for clip in dataset.clips if clip.split == split]
    duplicates = duplicates_among((clip.id, caption.normalised) for clip in clips for caption in clip.captions)
    return {
        "duplicate_captions": duplicates.captions,
        "ceiling_text_to_audio_R1": duplicates.ceiling_text_to_audio_R1,
        "pool_id": pool_id_of_clips(clips),
    }


def _rates(rates_hz: Iterator[int]) -> dict[str, int]:
    return {str(rate_hz): files for rate_hz, files in Counter(rates_hz).most_common()}


def _verification_record(verification: Verification) -> dict[str, Any]:
    return {
        "files": verification.files,
        "size_bytes": verification.size_bytes,
        "changes": [
            {"path": str(change.path), "what": change.what, "reason": change.reason} for change in verification.changes
        ],
        "folders_gone": {str(folder): files for folder, files in folders_gone(verification.changes).items()},
    }


def info_view(record: Mapping[str, Any]) -> RenderableType:
    """What people see of an `info_record`; reads well in 80 columns, and in 50."""
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, text in _facts(record):
        facts.add_row(Text(label), Text(text))
    parts: list[RenderableType] = [
        title_line(record),
        splits_table(record),
        Text(),
        _pools_table(record),
        Text(),
        facts,
    ]
    notes = note_lines(record["about"])
    if notes:
        parts += [Text(), *map(Text, notes)]
    return Group(*parts)


def _pools_table(record: Mapping[str, Any]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("split", min_width=8)
    for heading in ("captions shared by clips", "T2A R@1 ceiling", "pool"):
        table.add_column(heading, justify="right")
    for name, split in record["splits"].items():
        if not split["clips"]:
            continue
        shared, ceiling = f"{split['duplicate_captions']:,}", f"{100 * split['ceiling_text_to_audio_R1']:.1f} %"
        table.add_row(name, *((shared, ceiling) if split["captions"] else ("-", "-")), split["pool_id"][:8])
    return table


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Label and text of each line; what is not known or zero has none."""
    about = record["about"]
    yield from _missing_facts(record)
    yield from _labelled("pool", [_pool_fact(record)] if about.get("pool") else [])
    yield from _labelled("audio", _audio_facts(record["audio"]))
    yield from _labelled("licence", _licence_facts(record))
    yield from _labelled("source", [_as_words(about["source"])] if about.get("source") else [])
    yield from _labelled(
        "relevance",
        (
            f"{kept['name']}: {counted(kept['queries'], 'query', 'queries')} of {kept['split']}, "
            f"{counted(kept['judgements'], 'judgement')}"
            for kept in record["relevance"]
        ),
    )
    if record["problems"]:
        yield "problems", f"{counted(record['problems'], 'clip')} skipped or repaired, listed in {PROBLEMS_NAME}"


def _labelled(label: str, texts: Any) -> Iterator[tuple[str, str]]:
    for text in texts:
        yield label, text
        label = ""


def _missing_facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    lines = []
    for split, reasons in (record["missing"] or {}).items():
        counts = [f"{reason} {clips:,}" for reason, clips in reasons.items()]
        if len(counts) > _SHOWN_REASONS:
            rest = sum(list(reasons.values())[_SHOWN_REASONS:])
            counts[_SHOWN_REASONS:] = [f"{counted(len(counts) - _SHOWN_REASONS, 'other reason')} {rest:,}"]
        lines.append(f"{split}: {', '.join(counts)}")
    if lines:
        lines.append(f"each is listed in {MISSING_NAME}")
    yield from _labelled("missing", lines)


def _pool_fact(record: Mapping[str, Any]) -> str:
    """The part of the test set that figures are given on, and how much of it there is."""
    match record["about"]["pool"]:
        case {"name": name, "source": source, "clips": int(clips)}:
            on_disk = record["splits"].get("test", {"clips": 0})["clips"]
            return (
                f"{name}: {on_disk:,} of {counted(clips, 'clip')} {'is' if on_disk == 1 else 'are'} on disk ({source})"
            )
        case other:
            return _as_words(other)


def _audio_facts(audio: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    yield _files_by_rate(audio["originals"])
    if audio["copies"]:
        yield f"copies: {_files_by_rate(audio['copies'])}"


def _files_by_rate(rates: Mapping[str, int]) -> str:
    return ", ".join(f"{int(rate_hz):,} Hz ({counted(files, 'file')})" for rate_hz, files in rates.items())


def _licence_facts(record: Mapping[str, Any]) -> Iterator[str]:
    licence = record["about"].get("licence")
    if licence:
        yield str(licence)
    counts: Counter[str] = Counter()
    for name, clips in record["clip_licences"].items():
        counts[short_licence(name)] += clips
    if counts:
        yield ", ".join(f"{name} {clips:,}" for name, clips in counts.most_common())


def _as_words(value: Any) -> str:
    """A value of `about` on one line: "Clotho v2.1, https://..." for what has a name, else keys and values."""
    if not isinstance(value, dict):
        return str(value)
    if "name" not in value:
        return ", ".join(f"{key} {_as_words(item)}" for key, item in value.items())
    name = " ".join(str(value[key]) for key in ("name", "version") if value.get(key))
    return ", ".join([name, *(_as_words(item) for key, item in value.items() if key not in ("name", "version"))])


def verification_text(verification: Mapping[str, Any]) -> str:
    """What came of reading everything again: the first files that are not as stated, each path in one piece.

    Files below a folder that is gone altogether have one line together.
    """
    read = f"{counted(verification['files'], 'file')} read again ({verification['size_bytes'] / 1e6:,.1f} MB)"
    changes, gone = verification["changes"], verification["folders_gone"]
    if not changes:
        return f"\n{read}: all are as the manifest says"
    lines = [f"\n{read}: {len(changes):,} {'is' if len(changes) == 1 else 'are'} not as the manifest says"]
    for folder, files in gone.items():
        lines.append(f"  missing: all {files:,} below {_shown(folder)}: is the disk mounted, was it moved?")
    singly = [c for c in changes if not (c["what"] == "missing" and _is_below(c["path"], gone))]
    for change in singly[:_SHOWN_CHANGES]:
        reason = f" ({change['reason']})" if change["reason"] else ""
        lines.append(f"  {change['what']}: {_shown(change['path'])}{reason}")
    if len(singly) > _SHOWN_CHANGES:
        lines.append(f"  and {len(singly) - _SHOWN_CHANGES:,} more; --json lists all")
    return "\n".join(lines)


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)


def _shown(path: str) -> str:
    return path if path.isprintable() else repr(path)
