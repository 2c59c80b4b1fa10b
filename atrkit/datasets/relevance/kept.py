"""Qrels beside a manifest: `qrels/<name>.<split>.tsv`, and `qrels/<name>.json` that says where they come from."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.relevance.judgements import Relevance
from atrkit.datasets.relevance.qrels import Qrels, qrels_bytes
from atrkit.errors import IntegrityError
from atrkit.files import write_atomic, write_json_atomic

QRELS_FOLDER = "qrels"


@dataclass(frozen=True)
class KeptQrels:
    """One file of judgements beside a manifest.

    Args:
        name: of the annotation.
        split: whose captions are the queries.
        path: of the file, for `load_qrels`.
        queries: how many captions were judged.
        judgements: how many pairs.
        sha256: that the file should have.
    """

    name: str
    split: str
    path: Path
    queries: int
    judgements: int
    sha256: str


def save_relevance(folder: Path, relevance: Relevance) -> None:
    """Keep an annotation beside the manifest, in place of an earlier copy of the same.

    Args:
        folder: the dataset's.
        relevance: of that dataset.

    Raises:
        ResourceError: the folder cannot be written (exit code 4).
    """
    target = folder / QRELS_FOLDER
    contents = {_file_name(qrels): qrels_bytes(qrels) for qrels in relevance.qrels}
    for stale in target.glob(f"{relevance.name}.*.tsv"):
        if stale.name not in contents:
            stale.unlink()
    for file_name, content in contents.items():
        write_atomic(target / file_name, content)
    files = [
        {
            "file": _file_name(qrels),
            "split": qrels.split,
            "queries": len(qrels.grades),
            "judgements": qrels.judgements,
            "sha256": hashlib.sha256(contents[_file_name(qrels)]).hexdigest(),
        }
        for qrels in relevance.qrels
    ]
    left_out = [{"item": problem.item, "reason": problem.reason} for problem in relevance.problems]
    write_json_atomic(
        target / f"{relevance.name}.json",
        {
            "name": relevance.name,
            "source": str(relevance.source.resolve()),
            "files": files,
            "notes": list(relevance.notes),
            "left_out": left_out,
        },
    )


def kept_qrels(folder: Path) -> tuple[KeptQrels, ...]:
    """The judgements beside a manifest, sorted by name and split; none when there is no such folder.

    Args:
        folder: the dataset's.

    Raises:
        IntegrityError: a record of them is damaged (exit code 5).
    """
    kept = []
    for record_path in sorted((folder / QRELS_FOLDER).glob("*.json")):
        try:
            record = json.loads(record_path.read_bytes())
            for file in sorted(record["files"], key=lambda file: str(file["split"])):
                path = record_path.with_name(file["file"])
                counts = int(file["queries"]), int(file["judgements"])
                kept.append(KeptQrels(record["name"], file["split"], path, *counts, file["sha256"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(
                f"{record_path} is damaged ({error}); delete it and give --relevance to the command that made the "
                "dataset again"
            ) from error
    return tuple(kept)


def _file_name(qrels: Qrels) -> str:
    return f"{qrels.name}.{qrels.split}.tsv"
