"""What caption metrics find on this machine: Java, jars, models, and what each metric lacks."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from atrkit.errors import UsageError
from atrkit.files import sha256_of_file
from atrkit.metrics.captioning.cache import metrics_cache
from atrkit.metrics.captioning.catalogue import (
    CAPTION_METRICS,
    FLUENCY_FOLDER,
    HUB_URL,
    INSTALL_PACKAGE,
    NEED_JAVA,
    NEEDS,
    NEEDS_OF,
    PREPARE,
    SBERT_FOLDER,
    SPICE_CACHE,
    THEN,
    Lack,
    NeededFile,
    NeedName,
)
from atrkit.metrics.captioning.java import Java, find_java
from atrkit.metrics.captioning.models import load_fluency_detector, load_sbert
from atrkit.metrics.captioning.similarity import SentenceSimilarity


class MetricTools:
    """Java, jars and models as they are found, each looked for, or loaded, once.

    Several sets of captions can be scored with one of these, and models are then loaded once. To make one costs
    nothing; nothing here asks a network.

    Args:
        sbert_model: a folder of a sentence encoder, or a loaded `SentenceTransformer`; None: the one in the cache.
        echecker: a folder of a fluency detector, or a loaded one; None: the one in the cache.
        echecker_tokenizer: of a loaded detector.
        device: for both; None: CUDA where it is there.
        cache: where jars and models lie; None: `metrics_cache()`.

    Raises:
        UsageError: a detector was given without its tokenizer.
    """

    def __init__(
        self,
        *,
        sbert_model: "str | Path | Any | None" = None,
        echecker: "str | Path | Any | None" = None,
        echecker_tokenizer: Any = None,
        device: str | None = None,
        cache: Path | None = None,
    ) -> None:
        if not _is_place(echecker) and echecker_tokenizer is None:
            raise UsageError("a loaded fluency detector needs its tokenizer: give echecker_tokenizer, too")
        self.cache = (cache or metrics_cache()).absolute()
        self.device = device
        self._sbert_model = sbert_model
        self._echecker = echecker
        self._echecker_tokenizer = echecker_tokenizer

    @cached_property
    def java(self) -> Java | Lack:
        """The Java that runs metrics, or what is wrong with it."""
        return find_java()

    @property
    def usable_java(self) -> Java | None:
        """The Java that runs metrics; None: there is none."""
        return self.java if isinstance(self.java, Java) else None

    @cached_property
    def sbert(self) -> Any:
        """The sentence encoder.

        Raises:
            MissingPrerequisiteError: the folder holds none.
            IntegrityError: it cannot be read.
        """
        if not _is_place(self._sbert_model):
            return self._sbert_model
        return load_sbert(Path(self._sbert_model or self.cache / SBERT_FOLDER), self.device)

    @cached_property
    def similarity(self) -> SentenceSimilarity:
        """The sentence encoder at work; it remembers references.

        Raises:
            MissingPrerequisiteError: as `sbert`.
            IntegrityError: as `sbert`.
        """
        return SentenceSimilarity(self.sbert)

    @cached_property
    def fluency(self) -> tuple[Any, Any]:
        """The fluency detector and its tokenizer.

        Raises:
            MissingPrerequisiteError: the folder holds none.
            IntegrityError: it cannot be read.
        """
        if not _is_place(self._echecker):
            return self._echecker, self._echecker_tokenizer
        return load_fluency_detector(Path(self._echecker or self.cache / FLUENCY_FOLDER), self.device)

    def missing_files(self, name: NeedName) -> tuple[NeededFile, ...]:
        """Files of one need that are not in the cache, or are empty."""
        return tuple(file for file in NEEDS[name].files if not _has_content(self.cache / file.path))

    def damaged_files(self, name: NeedName) -> tuple[NeededFile, ...]:
        """Files of one need whose sha256 is known and is another one."""
        return tuple(
            file
            for file in NEEDS[name].files
            if file.sha256 and (path := self.cache / file.path).is_file() and sha256_of_file(path) != file.sha256
        )

    def lacks(self, metric: str) -> tuple[Lack, ...]:
        """What a metric lacks on this machine; empty: it runs.

        Args:
            metric: one of `CAPTION_METRICS`.
        """
        java = self.java if metric in NEED_JAVA else None
        of_java = (java,) if isinstance(java, Lack) else ()
        return (*of_java, *(lack for need in NEEDS_OF.get(metric, ()) if (lack := self.lack_of(need)) is not None))

    @property
    def lack_of_ptb(self) -> Lack | None:
        """Why captions cannot be split as published figures are."""
        return self.java if isinstance(self.java, Lack) else self.lack_of("ptb")

    def lack_of(self, name: NeedName) -> Lack | None:
        """What is missing of one need: the files, where they belong and how they come there."""
        given = {"sbert": self._sbert_model, "fluency": self._echecker}.get(name)
        missing = () if given is not None else self.missing_files(name)
        if not missing:
            return None
        need, folder = NEEDS[name], self.cache / NEEDS[name].folder
        lacking = f"the {need.what}"
        if len(missing) < len(need.files):
            names = ", ".join(file.name for file in missing[:3]) + (" and others" if len(missing) > 3 else "")
            lacking = f"{names} of {lacking}"
        if missing[0].package_path is not None:
            return Lack(f"{folder} lacks {lacking}", f"{INSTALL_PACKAGE}{THEN}{PREPARE}", need=name)
        urls = " and ".join(dict.fromkeys(_published_at(file) for file in need.files))
        names = ", ".join(file.path.removeprefix(f"{need.folder}/") for file in missing)
        what = f"{folder} lacks {lacking}, about {need.about_mb} MB"
        by_hand = f"put {names} from {urls} into {folder}"
        return Lack(what, PREPARE, by_hand, need=name, fetch_mb=need.about_mb)

    def make_spice_folder(self) -> None:
        """Make the folder that SPICE insists on."""
        (self.cache / SPICE_CACHE).mkdir(parents=True, exist_ok=True)


def check_metric_names(names: Sequence[str] | None) -> tuple[str, ...]:
    """The metrics asked for, in the order of `CAPTION_METRICS`; None: all.

    >>> check_metric_names(["fense", "bleu_1"])
    ('bleu_1', 'fense')

    Raises:
        UsageError: there is no such metric; lists those there are.
    """
    unknown = [name for name in names or () if name not in CAPTION_METRICS]
    if unknown or (names is not None and not names):
        named = f"there is no caption metric {unknown[0]!r}" if unknown else "name at least one caption metric"
        raise UsageError(f"{named}: choose from {', '.join(CAPTION_METRICS)}")
    return tuple(name for name in CAPTION_METRICS if names is None or name in names)


def _is_place(model: Any) -> bool:
    return model is None or isinstance(model, str | Path)


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _published_at(file: NeededFile) -> str:
    return file.url or "" if file.hub_file is None else f"{HUB_URL}/{file.hub_file[0]}"
