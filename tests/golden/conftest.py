"""What the golden tests share: weights and audio by the rule of ../shared/golden, in the official files' layout."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
SEED = 7

# where the official files keep the state dict, and what else they hold
NESTINGS = {
    "cnn14": "model",
    "cnn14_16k": "model",
    "cnn10": "model",
    "resnet38": "model",
    "convnext_tiny": "model",
    "vggish": "",
    "vggsound_resnet18": "model_state_dict",
}
BESIDE: dict[str, dict[str, Any]] = {
    "model": {"iteration": 600_000, "sampler": {"pointer": 3, "indexes": np.arange(5)}},
    "model_state_dict": {"epoch": 12, "optimizer_state_dict": {}},
}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Convolutions this small gain nothing from more, and lose tenfold when other work shares the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def synthetic() -> dict[str, Any]:
    """The functions of ../shared/golden/synthetic_weights.py by name."""
    if not GOLDEN.is_dir():
        pytest.skip("needs ../shared/golden")
    return runpy.run_path(str(GOLDEN / "synthetic_weights.py"))


@pytest.fixture(scope="session")
def synthetic_audio(synthetic) -> Callable[[int, float], np.ndarray]:
    """The golden files' audio: `synthetic_audio(sample_rate_hz, seconds)`."""
    return lambda sample_rate_hz, seconds: synthetic["synthetic_audio"](sample_rate_hz, seconds, SEED)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """The reference's outputs by name of the encoder: `golden("cnn14")["frames_5s"]`."""

    def arrays(name: str) -> dict[str, np.ndarray]:
        path = GOLDEN / f"golden_{name}_seed{SEED}.npz"
        if not path.is_file():
            pytest.skip(f"needs ../shared/golden/{path.name}")
        with np.load(path) as file:
            return dict(file)

    return arrays


@pytest.fixture(scope="session")
def official_state(synthetic) -> Callable[[str], dict[str, torch.Tensor]]:
    """Every entry of an official checkpoint with synthetic values; the front end's own buffers hold nonsense.

    Nonsense, because the front end is computed: an encoder that took these buffers would be far off.
    """

    def state(name: str) -> dict[str, torch.Tensor]:
        shapes = json.loads((GOLDEN / "keys" / f"keys_{name}.json").read_text())
        tensors = {k: torch.from_numpy(v) for k, v in synthetic["synthetic_state_dict"](shapes, SEED).items()}
        front_end = {k: torch.full(s, 0.5) for k, s in shapes.items() if synthetic["is_front_end"](k)}
        return front_end | tensors

    return state


@pytest.fixture(scope="session")
def official_checkpoint(official_state, tmp_path_factory) -> Callable[[str], Path]:
    """A file as published, with synthetic weights: `official_checkpoint("cnn14")`; made once for each name."""
    folder = tmp_path_factory.mktemp("official_checkpoints")

    def checkpoint(name: str) -> Path:
        path = folder / f"{name}.pth"
        if not path.exists():
            # Cnn14 at 16 kHz has the entries of Cnn14, and so their values, which take seconds to draw
            twin = folder / "cnn14.pth"
            if name == "cnn14_16k" and twin.exists():
                path.hardlink_to(twin)
                return path
            nesting = NESTINGS[name]
            state = official_state(name)
            torch.save({nesting: state, **BESIDE[nesting]} if nesting else state, path)
        return path

    return checkpoint


@pytest.fixture(scope="session")
def relative_difference() -> Callable[[Any, Any], float]:
    """The measure of golden/README.md: largest difference over the reference's root mean square."""

    def relative(actual: Any, expected: Any) -> float:
        assert np.shape(actual) == np.shape(expected)
        return float(np.abs(actual - expected).max() / np.sqrt(np.mean(np.square(expected, dtype=np.float64))))

    return relative
