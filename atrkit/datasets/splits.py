"""Which clip is learned from and which is tested on, drawn by clip and by seed.

All captions of a clip go with it: a caption whose clip was trained on would make retrieval look easy.
"""

import re
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from atrkit.errors import UsageError

_SPLITS_BY_NUMBER = {2: ("dev", "eval"), 3: ("dev", "val", "eval")}
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_SHARES = re.compile(r"\d{1,3}(\.\d{1,6})?(/\d{1,3}(\.\d{1,6})?)+")


def assign_splits(clip_ids: Iterable[str], spec: str, seed: int) -> dict[str, str]:
    """Give every clip a split.

    Sizes are rounded by largest remainder, and no split is left empty. The order in which clips come does not
    matter; another seed, or another set of clips, is another draw.

    Args:
        clip_ids: unique ids.
        spec: "80/10/10" (percent for dev, val, eval), "80/20" (dev, eval), or one name for all clips.
        seed: of the draw.

    Returns:
        Split by clip id, ids sorted.

    Raises:
        UsageError: the spec is neither, does not sum to 100, or there are fewer clips than splits.

    Example:
        >>> assign_splits(["b", "a"], "all", seed=1)
        {'a': 'all', 'b': 'all'}
    """
    ids = sorted(clip_ids)
    if _NAME.fullmatch(spec):
        return dict.fromkeys(ids, spec)
    names, shares = _parse(spec)
    sizes = _sizes(len(ids), shares)
    if min(sizes) == 0:
        raise UsageError(f"--split {spec}: {len(ids)} clips are too few for {len(names)} splits")
    drawn = np.repeat(np.array(names), sizes)
    order = np.random.default_rng(seed).permutation(len(ids))
    split_of = dict(zip(order.tolist(), drawn.tolist(), strict=True))
    return {clip_id: split_of[position] for position, clip_id in enumerate(ids)}


def check_split_spec(spec: str) -> None:
    """Refuse a spec that `assign_splits` would refuse for any number of clips.

    Raises:
        UsageError: as there.
    """
    if not _NAME.fullmatch(spec):
        _parse(spec)


def _parse(spec: str) -> tuple[tuple[str, ...], list[Fraction]]:
    shares = [Fraction(share) for share in spec.split("/")] if _SHARES.fullmatch(spec) else []
    names = _SPLITS_BY_NUMBER.get(len(shares))
    if names is None or min(shares) == 0:
        raise UsageError(
            f"--split {spec!r}: give percents for dev/val/eval (80/10/10) or dev/eval (80/20), none of them 0, "
            "or one name for all clips"
        )
    if sum(shares) != 100:
        raise UsageError(f"--split {spec}: the percents sum to {float(sum(shares)):g}, not 100")
    return names, shares


def _sizes(total: int, shares: list[Fraction]) -> list[int]:
    """Whole numbers that sum to `total`, nearest to the shares, none 0 while `total` allows it."""
    exact = [share * total / 100 for share in shares]
    sizes = [int(size) for size in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: (sizes[i] - exact[i], i))
    for i in by_remainder[: total - sum(sizes)]:
        sizes[i] += 1
    while min(sizes) == 0 and max(sizes) > 1:
        sizes[sizes.index(max(sizes))] -= 1
        sizes[sizes.index(0)] += 1
    return sizes
