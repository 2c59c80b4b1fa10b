"""The caption metrics there are, and the files that some of them need and that no Python package installs.

The layout below the cache folder is aac-metrics' own for the jars. The two models of FENSE lie beside them, each in a
folder of its own, because their usual places belong to other programs (the hub's cache, torch's).

Sources: aac-metrics 0.5.4, `download.py` and `functional/fer.py` (addresses, layout, sha256 of the fluency detector);
the sha256 of jars are those of the package pycocoevalcap 1.2.
"""

from dataclasses import dataclass
from typing import Any, Literal

PACKAGE = "pycocoevalcap"
INSTALL_PACKAGE = "pip install --no-deps pycocoevalcap"
PREPARE = "atrkit download metrics"
THEN = ", then "

CORENLP_ZIP = "stanford-corenlp-full-2015-12-09"
# aac-metrics asks by http, where anybody on the way could put other code into the jars
CORENLP_URL = f"https://nlp.stanford.edu/software/{CORENLP_ZIP}.zip"

HUB_URL = "https://huggingface.co"

NeedName = Literal["ptb", "meteor", "spice", "corenlp", "sbert", "fluency"]

# in the order in which they are reported
CAPTION_METRICS = (
    "bleu_1",
    "bleu_2",
    "bleu_3",
    "bleu_4",
    "rouge_l",
    "meteor",
    "cider_d",
    "spice",
    "spider",
    "sbert_sim",
    "fer",
    "fense",
    "spider_fl",
    "vocabulary_size",
    "mean_words",
)


@dataclass(frozen=True)
class Lack:
    """Something that is missing, in words.

    Args:
        what: is missing.
        fix: the command that mends it, or several with ", then " between them.
        by_hand: what else would do, without a network for example; may be empty.
        need: which files are missing, or "java"; None: something else is wrong.
        fetch_mb: about how much the fix fetches from a network.
    """

    what: str
    fix: str
    by_hand: str = ""
    need: NeedName | Literal["java"] | None = None
    fetch_mb: int = 0

    @property
    def steps(self) -> list[str]:
        """The commands of the fix."""
        return self.fix.split(THEN)

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        brief = {"need": self.need, "steps": self.steps, "fetch_mb": self.fetch_mb}
        return {"what": self.what, "fix": self.way_out, **brief}

    @property
    def way_out(self) -> str:
        """The command, and what else would do."""
        return f"{self.fix}, or {self.by_hand}" if self.by_hand else self.fix


@dataclass(frozen=True)
class NeededFile:
    """One file in the cache.

    Args:
        path: below `metrics_cache()`.
        sha256: where it is known.
        package_path: where pycocoevalcap has it.
        url: where it is published, when no package has it.
        hub_file: hub id and path on the Hugging Face hub, so that a copy in the hub's cache is found.
    """

    path: str
    sha256: str | None = None
    package_path: str | None = None
    url: str | None = None
    hub_file: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """Without its folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Need:
    """What metrics need together.

    Args:
        what: a few words for people.
        folder: below `metrics_cache()`.
        files: all of them are needed.
        about_mb: of all files together.
    """

    what: str
    folder: str
    files: tuple[NeededFile, ...]
    about_mb: int


_PTB_FOLDER = "aac-metrics/stanford_nlp"
_METEOR_FOLDER = "aac-metrics/meteor"
_SPICE_FOLDER = "aac-metrics/spice"
SPICE_CACHE = f"{_SPICE_FOLDER}/cache"  # aac-metrics refuses to run SPICE without it
SBERT_FOLDER = "aac-metrics/fense/paraphrase-TinyBERT-L6-v2"
FLUENCY_FOLDER = "aac-metrics/fense/echecker_clotho_audiocaps_base"
FLUENCY_CHECKPOINT = "echecker_clotho_audiocaps_base.ckpt"

_SPICE_LIBRARIES = {
    "Meteor-1.5.jar": "014a3627d277a6f4ba5b44a20733f8dff28bbb428204c36abfda56565658ba09",
    "SceneGraphParser-1.0.jar": "83a1b7c3f896dd135f9539ba41d65b155827dfc312893bfd5bb835c9f9ae310a",
    "ejml-0.23.jar": "12d44e81fdd661ad2aac6384511facf3d8fa003c3ce8d9cec5f22827d1819a26",
    "fst-2.47.jar": "8c871febc859cf72dbed1c6c1eebc5600c3d93c3e986feccf4623cc5086098cc",
    "guava-19.0.jar": "58d4cc2e05ebb012bbac568b032f75623be1cb6fb096f3c60c72a86f7f057de4",
    "hamcrest-core-1.3.jar": "66fdef91e9739348df7a096aa384a5685f4e875584cce89386a7a47251c4d8e9",
    "jackson-core-2.5.3.jar": "c9a900c30c702d371be2d3714938dfa6de616599c8eb39f8e3cf7aedd62dfd32",
    "javassist-3.19.0-GA.jar": "d19c1ef43ccd9cb1b39466bb2f1c8e45c2b6752f1e13a3dfb60096543d1791fa",
    "json-simple-1.1.1.jar": "4e69696892b88b41c55d49ab2fdcc21eead92bf54acc588c0050596c3b75199c",
    "junit-4.12.jar": "59721f0805e223d84b90677887d9ff567dc534d7c502ca903c0c2b17f05c116a",
    "lmdbjni-0.4.6.jar": "f4e8c51eb4ef05abe57d2187e76f5c335e4ef16d8503329eb7dbc5ae7a90529c",
    "lmdbjni-linux64-0.4.6.jar": "0b7773db873aaeec399a50113c0a4e121df0eff5e724607f7bc8171452107d94",
    "lmdbjni-osx64-0.4.6.jar": "7d66778037b5689e7c6daf22a7140722f2085da4ae479bceda4a4be487d55460",
    "lmdbjni-win64-0.4.6.jar": "969c6aa59893b82856a6832da640672b0f23f1d72f70d7b04296c71970d75b79",
    "objenesis-2.4.jar": "090416e160a7e398f79e0149a7b05ef328b1843898a34e08c1cc170128d326d0",
    "slf4j-api-1.7.12.jar": "0aee9a77a4940d72932b0d0d9557793f872e66a03f598e473f45e7efecdccf99",
    "slf4j-simple-1.7.21.jar": "a20179cc3ded2d7e2f5def4ccb34b2d0836e2f8c9e79352a6babd6a6559cc8e0",
}
_SBERT_ID = "sentence-transformers/paraphrase-TinyBERT-L6-v2"
_SBERT_FILES = (
    "modules.json",
    "config.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
    "model.safetensors",
)
# the detector is a BERT whose weights are all in its checkpoint; its configuration and words are not
_BERT_ID = "google-bert/bert-base-uncased"
_BERT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


def _from_hub(folder: str, hub_id: str, name: str) -> NeededFile:
    url = f"{HUB_URL}/{hub_id}/resolve/main/{name}"
    return NeededFile(f"{folder}/{name}", url=url, hub_file=(hub_id, name))


NEEDS: dict[NeedName, Need] = {
    "ptb": Need(
        "jar of the PTB tokenizer",
        _PTB_FOLDER,
        (
            NeededFile(
                f"{_PTB_FOLDER}/stanford-corenlp-3.4.1.jar",
                "2fcb91bb7a111f93d71e264f4ee0e3afd19ba0dde6d21b38605088df9e940399",
                "tokenizer/stanford-corenlp-3.4.1.jar",
            ),
        ),
        6,
    ),
    "meteor": Need(
        "files of METEOR",
        _METEOR_FOLDER,
        (
            NeededFile(
                f"{_METEOR_FOLDER}/meteor-1.5.jar",
                "1e57b4c72c0830ebe68558f1c799a624e96cbc1b6045c9f6330e26dcff6eafc2",
                "meteor/meteor-1.5.jar",
            ),
            NeededFile(
                f"{_METEOR_FOLDER}/data/paraphrase-en.gz",
                "c147ac7d2c91f2fbb3ad31e4b352235061eb83145e0434daf217ee9ca5975f48",
                "meteor/data/paraphrase-en.gz",
            ),
        ),
        68,
    ),
    "spice": Need(
        "jars of SPICE",
        _SPICE_FOLDER,
        (
            NeededFile(
                f"{_SPICE_FOLDER}/spice-1.0.jar",
                "6c6a73ae6dd108667047c1818707590413934dcb9f1a62cef6469059b41b3d59",
                "spice/spice-1.0.jar",
            ),
            *(
                NeededFile(f"{_SPICE_FOLDER}/lib/{name}", sha256, f"spice/lib/{name}")
                for name, sha256 in _SPICE_LIBRARIES.items()
            ),
        ),
        32,
    ),
    "corenlp": Need(
        "jars of Stanford CoreNLP 3.6.0, which SPICE needs",
        f"{_SPICE_FOLDER}/lib",
        tuple(
            NeededFile(f"{_SPICE_FOLDER}/lib/{name}", url=CORENLP_URL)
            for name in ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
        ),
        400,
    ),
    "sbert": Need(
        "sentence encoder of FENSE (paraphrase-TinyBERT-L6-v2)",
        SBERT_FOLDER,
        tuple(_from_hub(SBERT_FOLDER, _SBERT_ID, name) for name in _SBERT_FILES),
        270,
    ),
    "fluency": Need(
        "fluency detector of FENSE (echecker_clotho_audiocaps_base)",
        FLUENCY_FOLDER,
        (
            NeededFile(
                f"{FLUENCY_FOLDER}/{FLUENCY_CHECKPOINT}",
                "1a719f090af70614bbdb9f9437530b7e133c48cfa4a58d964de0d47fc974a2fa",
                url=f"https://github.com/blmoistawinde/fense/releases/download/V0.1/{FLUENCY_CHECKPOINT}",
            ),
            *(_from_hub(FLUENCY_FOLDER, _BERT_ID, name) for name in _BERT_FILES),
        ),
        440,
    ),
}

# what each metric needs beside aac-metrics; the others need nothing
NEEDS_OF: dict[str, tuple[NeedName, ...]] = {
    "meteor": ("meteor",),
    "spice": ("spice", "corenlp"),
    "spider": ("spice", "corenlp"),
    "sbert_sim": ("sbert",),
    "fer": ("fluency",),
    "fense": ("sbert", "fluency"),
    "spider_fl": ("spice", "corenlp", "fluency"),
}
NEED_JAVA = frozenset({"meteor", "spice", "spider", "spider_fl"})
NEED_TWO_CLIPS = frozenset({"cider_d", "spider", "spider_fl"})
