"""Models that embed texts and sounds apart, so that a collection is embedded once and searched by anything."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import numpy.typing as npt

from atrkit.audio.read import UnusableAudioError, load_mono, load_mono_window
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.models.folder import CHECKSUMS_NAME
from atrkit.recipe.models import GruCaptionerSettings, RidgeSettings, TransformerCaptionerSettings
from atrkit.recipe.retrievers import CoAttentionSettings, DualEncoderSettings, ExpertsSettings, HciSettings
from atrkit.reports.counting import counted
from atrkit.search.windows import WINDOW_S
from atrkit.store.differences import first_difference
from atrkit.text.normalise import words_of
from atrkit.workflows.build import encoder_arguments
from atrkit.workflows.encoder_as_trained import encoder_as_trained
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.finetuned import refuse_other_weights
from atrkit.workflows.frozen_encoder import load_frozen_encoder
from atrkit.workflows.recipe_embeddings import AUXILIARY
from atrkit.workflows.score_models import scoring_device
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, open_run
from atrkit.workflows.window_encoder import EncodedWindows, WindowEncoder

if TYPE_CHECKING:
    from atrkit.encoders import Encoder
    from atrkit.encoders.clap_files import ClapFiles

Float32Array = npt.NDArray[np.float32]
EmbedTexts = Callable[[Sequence[str]], Float32Array]

WHERE_MODELS_COME_FROM = (
    "train one on the embedded data set (a toy): atrkit download synthetic, atrkit train synthetic/retrieval; "
    "take a CLAP of the hub: --model laion/clap-htsat-unfused; "
    "or train on your own captioned sounds: atrkit import FOLDER --name mine, atrkit train own_recordings (where its "
    "weights cannot be fetched: atrkit extract --encoder mn04 --checkpoint FILE before)"
)


@dataclass(frozen=True, eq=False)
class QueryModel:
    """A model that texts, sounds and windows of recordings are embedded with; it is opened when it is first used.

    Args:
        source: {"run": name} or {"clap": folder or hub id}, as index.json records it.
        identity: what makes it this model; another one does not fit the vectors of an index.
        sample_rate_hz: that its audio encoder wants.
        open_texts: opens the text side.
        open_windows: opens the audio side.
        is_unknown: whether the model knows no word of a text, so that its embedding says nothing.
    """

    source: dict[str, str]
    identity: dict[str, Any]
    sample_rate_hz: int
    open_texts: Callable[[], EmbedTexts]
    open_windows: Callable[[], WindowEncoder]
    is_unknown: Callable[[str], bool] = lambda text: False

    @property
    def name(self) -> str:
        """How messages call it."""
        return name_of_source(self.source)

    def embed_texts(self, texts: Sequence[str]) -> Float32Array:
        """Embed sentences.

        Args:
            texts: any, at least one.

        Returns:
            (Q, D), rows of norm 1.

        Raises:
            UsageError: a text without words.
            MissingPrerequisiteError, IntegrityError: the model is not there, or is damaged.
        """
        return self._embed_texts(texts)

    def embed_audio(self, path: Path, start_s: float | None = None) -> Float32Array:
        """Embed a sound file, or the ten seconds at one place of it.

        Args:
            path: of any format and rate that can be read.
            start_s: where these begin; nearer to the end they begin so early that they are ten seconds. None: all.

        Returns:
            (W, D), a row of norm 1 for each window of ten seconds.

        Raises:
            UsageError: it cannot be read as sound, ends before that place, or its embedding is not finite.
        """
        try:
            wave_N = load_mono(path, self.sample_rate_hz) if start_s is None else self._window_at(path, start_s)
        except (UnusableAudioError, OSError) as error:
            raise UsageError(f"{path}: {error}") from error
        vectors_WD: Float32Array = self.window_encoder().encode([wave_N]).frames[0]
        if not np.isfinite(vectors_WD).all():
            raise UsageError(f"{path}: its embedding is not finite")
        return vectors_WD

    def window_encoder(self) -> WindowEncoder:
        """What indexing encodes with."""
        return self._windows

    def _window_at(self, path: Path, start_s: float) -> Float32Array:
        length = round(WINDOW_S * self.sample_rate_hz)
        before_s = min(start_s, WINDOW_S)
        around_N = load_mono_window(path, self.sample_rate_hz, start_s - before_s, start_s + WINDOW_S)
        first = round(before_s * self.sample_rate_hz)
        if len(around_N) <= first:
            raise UsageError(f"{path} ends before {start_s:g} s")
        first = max(0, min(first, len(around_N) - length))
        return around_N[first : first + length]

    @cached_property
    def _embed_texts(self) -> EmbedTexts:
        return self.open_texts()

    @cached_property
    def _windows(self) -> WindowEncoder:
        return self.open_windows()


def name_of_source(source: Mapping[str, str]) -> str:
    """How messages call a model that index.json names.

    >>> name_of_source({"run": "synthetic/retrieval/seed-1"}), name_of_source({"clap": "laion/clap-htsat-unfused"})
    ('run synthetic/retrieval/seed-1', 'CLAP laion/clap-htsat-unfused')
    """
    return f"run {source['run']}" if "run" in source else f"CLAP {source['clap']}"


def open_query_model(session: Session, about: Mapping[str, Any]) -> QueryModel:
    """The model of an index.

    Args:
        session: where to speak.
        about: what index.json says.

    Raises:
        MissingPrerequisiteError: the model is not where it was.
        IntegrityError: it is another one than the index was made with.
    """
    recorded = about["model"]
    try:
        model = (
            open_run_model(session, recorded["run"])
            if "run" in recorded
            else open_clap_model(session, recorded["clap"])
        )
    except UsageError as error:
        raise MissingPrerequisiteError(
            f"index {about['name']!r} was made with {name_of_source(recorded)}, which is not there as it was: {error}; "
            f"bring it back, or use another: atrkit index --name {about['name']} --run RUN --overwrite"
        ) from error
    refuse_other_model(about, model)
    return model


def refuse_other_model(about: Mapping[str, Any], model: QueryModel) -> None:
    """See that vectors of an index and those of a model can be compared.

    Raises:
        IntegrityError: says what differs, and the ways out.
    """
    recorded = about["model"]
    difference = first_difference(recorded["identity"], model.identity)
    if difference is None:
        return
    name = about["name"]
    if name_of_source(recorded) == model.name:
        what = f"index {name!r} was made with another state of {model.name} ({difference})"
        raise IntegrityError(f"{what}: make it anew with atrkit index --name {name} --overwrite")
    raise IntegrityError(
        f"index {name!r} was made with {name_of_source(recorded)}, and this is {model.name} ({difference}): "
        f"give the new index another --name, or replace the old one with --overwrite"
    )


def open_run_model(session: Session, named: str | None) -> QueryModel:
    """A run's model; None: the newest finished run that can be used.

    Raises:
        MissingPrerequisiteError: there is no finished run; says how to get a model.
        UsageError: no finished run has that name, or it cannot embed texts and sounds apart; says which can.
    """
    if named is not None:
        return _model_of_run(session, open_run(session, named))
    runs = session.workspace.finished_runs()
    usable = (name for name in map(session.workspace.run_name, runs) if _is_usable(session, name))
    if (name := next(usable, None)) is None:
        there = f"{len(runs)} finished runs, none of which embeds texts and sounds apart" if runs else "no finished run"
        raise MissingPrerequisiteError(
            f"an index needs a model, and {session.workspace.root / 'runs'} holds {there}: {WHERE_MODELS_COME_FROM}"
        )
    session.say(f"run: {name} (the newest finished one that embeds texts and sounds apart)")
    return _model_of_run(session, open_run(session, name))


def _is_usable(session: Session, name: str) -> bool:
    """Whether a run that nobody named can be taken; a damaged one is passed over, and that is said."""
    try:
        return _why_not(open_run(session, name)) is None
    except (IntegrityError, UsageError) as error:
        session.say(f"run {name} is passed over: {error}")
        return False


def open_clap_model(session: Session, source: str) -> QueryModel:
    """A CLAP model as it is: a folder of transformers', or a hub id.

    Raises:
        UsageError: the source is empty.
        MissingPrerequisiteError: no such folder, or no ClapModel or tokenizer in it.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
    """
    from atrkit.encoders.catalogue import ENCODERS
    from atrkit.encoders.clap_files import find_clap

    folder = Path(source).expanduser()
    named = str(folder.resolve()) if folder.is_dir() else source
    files = find_clap(named, session.say, with_tokenizer=True)
    rate_hz = ENCODERS["clap"].sample_rate_hz
    identity = {"kind": "clap", "model_sha256": files.sha256, "audio": {"encoder": "clap", "sample_rate_hz": rate_hz}}

    def open_windows() -> WindowEncoder:
        encoder = load_frozen_encoder(session, ExtractOptions("clap", named), named)
        return WindowEncoder(encoder, lambda windows: windows.clip_emb_BD, encoder.clip_dim, "float32")

    return QueryModel({"clap": named}, identity, rate_hz, lambda: _clap_texts(session, files), open_windows)


def _clap_texts(session: Session, files: "ClapFiles") -> EmbedTexts:
    from atrkit.encoders.clap_files import read_text_weights
    from atrkit.models.clap_text import ClapTextEncoder

    text = ClapTextEncoder(files.config, read_text_weights(files.weights), files.folder).to(scoring_device())

    def embed(texts: Sequence[str]) -> Float32Array:
        if any(not each.strip() for each in texts):
            raise UsageError("a text without words cannot be searched for: write what is heard")
        if cut := text.count_cut(texts):
            session.say(f"{cut} texts are longer than {text.max_tokens} tokens: their ends are not read")
        return text.embed(texts, ids=texts)

    return embed


def _why_not(trained: TrainedRun) -> str | None:
    """Why a run's vectors cannot be kept and searched; None where they can."""
    match trained.recipe.model:
        case RidgeSettings() | DualEncoderSettings():
            return None
        case ExpertsSettings():
            return "weighs its experts anew for each caption"
        case HciSettings() | CoAttentionSettings():
            return "compares every sound with every caption by itself"
        case TransformerCaptionerSettings() | GruCaptionerSettings():
            return "writes captions, and scores each pair by itself"
        case _:
            assert_never(trained.recipe.model)


def _model_of_run(session: Session, trained: TrainedRun) -> QueryModel:
    if (why := _why_not(trained)) is not None:
        raise UsageError(
            f"run {trained.name} has a {trained.recipe.model.name}, which {why}: index with a run of a dual encoder or "
            "a ridge, or with a CLAP model (--model), and let this one re-score what is found: atrkit search --rerank"
        )
    audio = _audio_identity(trained)
    checksums = trained.folder / CHECKSUMS_NAME
    if not checksums.is_file():
        raise IntegrityError(f"{checksums} is missing: train the run again with --overwrite, or copy its folder again")
    model_sha256 = sha256(checksums.read_bytes()).hexdigest()
    identity = {"kind": trained.recipe.model.name, "model_sha256": model_sha256, "audio": audio}
    # below runs/ by name, so that a workspace may be moved; elsewhere by its full path
    below = trained.folder.is_relative_to(session.workspace.root / "runs")
    source = {"run": trained.name if below else str(trained.folder.resolve())}
    is_ridge = isinstance(trained.recipe.model, RidgeSettings)
    opened = _Ridge(session, trained) if is_ridge else _DualEncoder(session, trained)
    return QueryModel(
        source, identity, audio["sample_rate_hz"], lambda: opened.embed_texts, opened.open_windows, opened.is_unknown
    )


def _audio_identity(trained: TrainedRun) -> dict[str, Any]:
    """How the embeddings were made that the run learned from, whatever atrkit's version."""
    from atrkit.encoders.catalogue import ENCODERS

    tuned = trained.tuned_encoder
    if tuned is not None:
        section = trained.recipe.all_encoders[0]
        rate_hz = ENCODERS[section.name].sample_rate_hz
        return {"encoder": section.name, "checkpoint_sha256": tuned.sha256, "sample_rate_hz": rate_hz}
    needed = trained.inputs["embeddings"]
    return {key: value for key, value in needed.items() if key not in ("atrkit_version", AUXILIARY)}


def _open_encoder(session: Session, trained: TrainedRun) -> "tuple[Encoder, ExtractOptions]":
    """The run's encoder, frozen or its own."""
    tuned = trained.tuned_encoder
    if tuned is None:
        return encoder_as_trained(session, trained)
    refuse_other_weights(tuned)
    section = trained.recipe.all_encoders[0]
    _, settings = encoder_arguments(section)
    options = ExtractOptions(section.name, str(tuned.checkpoint), settings)
    return load_frozen_encoder(session, options, options.checkpoint), options


def _say_unknown(session: Session, unknown: Counter[str]) -> None:
    if unknown:
        words = ", ".join(repr(word) for word, _ in unknown.most_common(5))
        count = counted(len(unknown), "word that the model does", "words that the model does")
        session.say(f"{count} not know: {words}{', ...' if len(unknown) > 5 else ''}")


def _is_all_unknown(text: str, unknown: Counter[str]) -> bool:
    return 0 < len(words_of(text)) <= unknown.total()


class _Ridge:
    """Both sides of a run of a ridge."""

    def __init__(self, session: Session, trained: TrainedRun) -> None:
        self._session, self._trained = session, trained

    @cached_property
    def _model(self) -> Any:
        from atrkit.models.ridge_retriever import RidgeRetriever

        return RidgeRetriever.from_pretrained(self._trained.folder)

    def embed_texts(self, texts: Sequence[str]) -> Float32Array:
        if any(not words_of(each) for each in texts):
            raise UsageError("a text without words cannot be searched for: write what is heard")
        _say_unknown(self._session, self._model.count_unknown_words(texts))
        vectors_QD: Float32Array = self._model.embed_captions(list(texts)).astype(np.float32)
        return vectors_QD

    def is_unknown(self, text: str) -> bool:
        return _is_all_unknown(text, self._model.count_unknown_words([text]))

    def open_windows(self) -> WindowEncoder:
        encoder, options = _open_encoder(self._session, self._trained)

        def embed(windows: EncodedWindows) -> Float32Array:
            vectors_BD: Float32Array = self._model.embed_clips(windows.clip_emb_BD, windows.tag_probs_BK).astype(
                np.float32
            )
            return vectors_BD

        return WindowEncoder(encoder, embed, len(self._model.weights.caption_mean_D), options.frame_dtype)


class _DualEncoder:
    """Both sides of a run of a dual encoder."""

    def __init__(self, session: Session, trained: TrainedRun) -> None:
        self._session, self._trained = session, trained

    @cached_property
    def _model(self) -> Any:
        from atrkit.models.dual_encoder import DualEncoder

        return DualEncoder.from_pretrained(self._trained.folder).to(scoring_device()).eval()

    def embed_texts(self, texts: Sequence[str]) -> Float32Array:
        _say_unknown(self._session, self._model.count_unknown_words(texts))
        if cut := self._model.count_cut_captions(texts):
            self._session.say(f"{cut} texts are too long for the model: their ends are not read")
        vectors_QD: Float32Array = self._model.embed_captions(list(texts), ids=list(texts))
        return vectors_QD

    def is_unknown(self, text: str) -> bool:
        return _is_all_unknown(text, self._model.count_unknown_words([text]))

    def open_windows(self) -> WindowEncoder:
        encoder, options = _open_encoder(self._session, self._trained)

        def embed(windows: EncodedWindows) -> Float32Array:
            vectors_BD: Float32Array = self._model.embed_clips(windows.frames)
            return vectors_BD

        return WindowEncoder(encoder, embed, self._model.audio.out_dim, options.frame_dtype)
