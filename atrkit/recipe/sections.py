"""Which sections of a recipe belong to which model: rules between sections, said in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from atrkit.recipe.yaml_reader import shown

Misfit = tuple[tuple[str, ...], str]

CAPTIONERS = ("transformer_captioner", "gru_captioner")
EXPERTS = ("moee", "collaborative_experts")
RETRIEVERS = ("dual_encoder", *EXPERTS, "hci", "co_attention")
CONTRASTIVE_LOSSES = ("nt_xent", "max_margin")

_TRAINED_SECTIONS = {
    "loss": "loss: {name: nt_xent, temperature: 0.07}",
    "optimizer": "optimizer: {name: adamw, lr: 1e-3}",
    "training": "training: {epochs: 40, batch_size: 128}",
}
_CAPTIONER_LOSS = "loss: {name: cross_entropy, label_smoothing: 0.2}"
_CAPTIONER_KEEPS = ("val_loss", "fense", "last")


def misfits_of_sections(recipe: Mapping[str, Any]) -> list[Misfit]:
    """Sections that the model needs and lacks, or that say nothing to it.

    Args:
        recipe: sections by name, valid or not; a missing one may be absent or None.

    Returns:
        Pairs of place and problem.

    Example:
        >>> misfits_of_sections({"encoder": {"name": "mn04"}, "model": {"name": "ridge"}, "training": {"epochs": 3}})
        [(('training',), 'a ridge is solved in closed form and has no training: remove this section')]
    """
    model_name = _at(recipe, "model", "name")
    general = [*_encoders(recipe, str(model_name)), *_auxiliary(recipe, str(model_name))]
    if model_name == "ridge":
        return [*general, *_sections_of_a_ridge(recipe), *_captioners_only(recipe)]
    if model_name in RETRIEVERS:
        missing = _missing(recipe, str(model_name), _TRAINED_SECTIONS)
        return [*general, *missing, *_retriever(recipe, str(model_name)), *_captioners_only(recipe)]
    if model_name in CAPTIONERS:
        sections = {**_TRAINED_SECTIONS, "loss": _CAPTIONER_LOSS}
        return [*general, *_missing(recipe, str(model_name), sections), *_captioner(recipe)]
    return []


def _encoders(recipe: Mapping[str, Any], model_name: str) -> Iterator[Misfit]:
    one, several = recipe.get("encoder"), recipe.get("encoders")
    if one is None and several is None:
        yield ("encoder",), "a recipe needs an audio encoder, for example `encoder: {name: cnn14}`"
    if one is not None and several is not None:
        yield ("encoders",), "encoder and encoders exclude each other: remove one, or --set encoder=null"
    if several is not None and not (isinstance(several, list | tuple) and several):
        yield ("encoders",), "needs a list of one encoder or more, for example [vggish, vggsound_resnet18]"
    if several is not None and model_name not in EXPERTS:
        yield ("encoders",), f"only {' and '.join(EXPERTS)} take several encoders: name one as `encoder`"
    names = [_name(each) for each in several] if isinstance(several, list | tuple) else []
    twice = {name for name in names if isinstance(name, str) and names.count(name) > 1}
    if twice:
        yield ("encoders",), f"the same encoder twice: {', '.join(sorted(twice))}"
    if any(_is_finetuned(each) for each in (several if isinstance(several, list | tuple) else [])):
        yield ("encoders",), "one encoder can be fine-tuned, several stay frozen: remove finetune"
    if _is_finetuned(one) and model_name not in RETRIEVERS:
        yield ("encoder", "finetune"), "only retrieval models that are trained by steps teach their encoder: remove it"


def _is_finetuned(encoder: Any) -> bool:
    return isinstance(encoder, Mapping) and encoder.get("finetune") not in (None, False)


def _name(encoder: Any) -> Any:
    return encoder.get("name") if isinstance(encoder, Mapping) else encoder


def _auxiliary(recipe: Mapping[str, Any], model_name: str) -> Iterator[Misfit]:
    auxiliary = recipe.get("auxiliary_captions")
    if not isinstance(auxiliary, Mapping):
        return
    if not any(auxiliary.get(use, True) for use in ("augmentation", "interaction", "matching")):
        yield ("auxiliary_captions",), "all three uses are off: remove this section"
    if model_name in CAPTIONERS or model_name == "ridge":
        yield ("auxiliary_captions",), "is of retrieval models that are trained by steps: remove this section"
    for use in ("interaction", "matching"):
        if model_name != "hci" and auxiliary.get(use, True):
            yield ("auxiliary_captions", use), f"only model hci can do this: {use}: false"
    dim, num_heads = _at(recipe, "model", "dim"), auxiliary.get("num_heads", 8)
    dim = 1024 if dim is None else dim  # both as in the sections' own settings
    both_count = type(dim) is int and type(num_heads) is int and num_heads > 0
    if model_name == "hci" and auxiliary.get("interaction", True) and both_count and dim % num_heads:
        yield ("auxiliary_captions", "num_heads"), f"{num_heads} is no divisor of the model's dim, {dim}"


def _sections_of_a_ridge(recipe: Mapping[str, Any]) -> Iterator[Misfit]:
    for section in _TRAINED_SECTIONS:
        if recipe.get(section) is not None:
            yield (section,), f"a ridge is solved in closed form and has no {section}: remove this section"


def _missing(recipe: Mapping[str, Any], model_name: str, examples: Mapping[str, str]) -> Iterator[Misfit]:
    for section, example in examples.items():
        if recipe.get(section) is None:
            yield (section,), f"model {model_name} needs this section, for example `{example}`"


def _retriever(recipe: Mapping[str, Any], model_name: str) -> Iterator[Misfit]:
    model = f"a {model_name.replace('_', ' ')}"
    if _at(recipe, "loss", "name") == "cross_entropy":
        yield ("loss", "name"), f"{model} has no words to predict: choose {' or '.join(CONTRASTIVE_LOSSES)}"
    if _at(recipe, "training", "keep_best") == "fense":
        yield ("training", "keep_best"), f"{model} writes no captions: choose another figure, or last"
    if (_at(recipe, "training", "bucket_batches") or 1) != 1:
        yield ("training", "bucket_batches"), "is of captioners: who shares a batch is what a contrastive loss is about"
    if _at(recipe, "retrieval", "score") == "cosine" and (scores := _scores_unless_cosines(recipe, model_name)):
        yield ("retrieval", "score"), f"the scores of {model} are {scores}: leave it out"


def _scores_unless_cosines(recipe: Mapping[str, Any], model_name: str) -> str | None:
    """What the scores of a retrieval model are, where one cosine is not all of them."""
    if model_name in EXPERTS:
        return "weighted sums of cosines"
    if model_name == "co_attention":
        return "what co-attention makes of a pair"
    weights = [_at(recipe, "model", name) for name in ("frame_word_weight", "segment_phrase_weight")]
    auxiliary = recipe.get("auxiliary_captions")
    matches = isinstance(auxiliary, Mapping) and auxiliary.get("matching", True)
    if model_name == "hci" and (weights != [0, 0] or matches):
        return "means of several similarities"
    return None


def _captioners_only(recipe: Mapping[str, Any]) -> Iterator[Misfit]:
    for section in ("augment", "decoding"):
        if recipe.get(section) is not None:
            yield (section,), "is of captioners: remove this section"
    if _at(recipe, "retrieval", "score") == "cross_entropy":
        yield ("retrieval", "score"), "only a captioner has a cross-entropy: cosine, or leave it out"


def _captioner(recipe: Mapping[str, Any]) -> Iterator[Misfit]:
    if _at(recipe, "loss", "name") in CONTRASTIVE_LOSSES:
        yield ("loss", "name"), f"a captioner learns words: `{_CAPTIONER_LOSS}`"
    keep_best = _at(recipe, "training", "keep_best")
    if keep_best is not None and keep_best not in _CAPTIONER_KEEPS:
        *others, last = _CAPTIONER_KEEPS
        wanted = f"{', '.join(others)} or {last}"
        yield ("training", "keep_best"), f"a captioner's epoch is chosen by {wanted}, found {shown(keep_best)}"
    if _at(recipe, "retrieval", "score") == "cosine":
        yield ("retrieval", "score"), "a captioner has no cosine: cross_entropy, or leave it out"


def _at(recipe: Mapping[str, Any], section: str, key: str) -> Any:
    part = recipe.get(section)
    return part.get(key) if isinstance(part, Mapping) else None
