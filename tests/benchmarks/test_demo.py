"""The demo's figures: the four commands on the embedded data set with the defaults, and what mean pooling makes of it.

One seed: half-widths are about five points for R@1 and four for twin order, so no more than the bar is asserted. For
the whole of `make demo` the bar is four minutes on two cores; the time printed is this machine's, whatever else it did.
"""

import pytest

pytestmark = pytest.mark.bench

VARIANTS = {
    "LSTM, last state (the default)": [],
    "mean pooling, both sides": [
        "--set",
        "model.audio.pooling={name: mean}",
        "--set",
        "model.text.pooling={name: mean}",
    ],
}


def test_the_demo_hears_more_than_kinds_and_hears_order(tmp_path_factory, atrkit, show_table, keep_figures):
    workspace = ["--workspace", tmp_path_factory.mktemp("demo")]
    downloaded = atrkit("download", "synthetic", "--json", *workspace)
    extracted = atrkit("extract", "--encoder", "logmel", *workspace)
    ceilings = downloaded.record["about"]["ceilings"]
    shared = {"download": downloaded.seconds, "extract": extracted.seconds}

    results, seconds = {}, {}
    for name, options in VARIANTS.items():
        run = f"variant-{len(results) + 1}"
        trained = atrkit("train", "synthetic/retrieval", *options, "--name", run, *workspace)
        evaluated = atrkit("eval", "--metric", "recall", "--run", run, "--json", *workspace)
        results[name] = evaluated.record
        seconds[name] = {**shared, "train": trained.seconds, "eval": evaluated.seconds}

    rows = [[name, *_figures(result), f"{seconds[name]['train']:.0f} s"] for name, result in results.items()]
    rows += [[f"oracle: {name}", f"{100 * value:.1f}"] for name, value in ceilings.items()]
    columns = ["synthetic/eval", "T2A R@1", "A2T R@1", "chance", "twin order (95 %)", "p", "train"]
    show_table("the demo, one seed", columns, rows)
    default, mean = (results[name] for name in VARIANTS)
    times = seconds[next(iter(VARIANTS))]
    show_table(
        "wall time of child processes",
        [*times, "in all"],
        [[f"{value:.1f} s" for value in (*times.values(), sum(times.values()))]],
    )
    keep_figures("demo", {"ceilings": ceilings, "results": results, "seconds": seconds})

    for direction in ("text_to_audio", "audio_to_text"):
        assert default[direction]["R@1"] > ceilings["kinds"]
    assert default["twin_order"]["ci_low"] > 0.5
    assert mean["twin_order"]["ci_low"] <= 0.5 <= mean["twin_order"]["ci_high"]


def _figures(result):
    order = result["twin_order"]
    return [
        *(f"{100 * result[direction]['R@1']:.1f}" for direction in ("text_to_audio", "audio_to_text")),
        f"{100 * result['text_to_audio']['chance_R@1']:.1f}",
        f"{100 * order['accuracy']:.1f} ({100 * order['ci_low']:.1f}-{100 * order['ci_high']:.1f})",
        f"{order['p']:.2g}",
    ]
