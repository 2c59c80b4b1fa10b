"""Tables of the page from the JSON of `atrkit eval`."""

from atrkit.reports.page.tables import perturbation_table_of, recall_table_of, seeds_table_of, summary_table_of


def direction(recall, **more):
    figures = {"R@1": recall, "R@5": 0.5, "mAP@10": 0.3, "MedR": 4.0, "MnR": 9.25, "queries": 10, "candidates": 5}
    chance = {f"chance_{name}": 0.2 if name[0] in "Rm" else 3.0 for name in figures}
    return {**figures, **chance, "tied_queries": 0, "skipped_queries": 0, **more}


def result(name="first/seed-1", recall=0.1234, **more):
    about = {"run": name, "dataset": "d", "split": "eval", "pool_id": "0" * 64}
    scored = {"scoring": "cosine", "column_scaling": "none"}
    to_audio = direction(recall, ci={"R@1": [0.1, 0.15], "MedR": [3.0, 5.5]})
    return {**about, **scored, "text_to_audio": to_audio, "audio_to_text": direction(0.2), **more}


def cells(table, part, row):
    return [(cell.text, cell.below) for cell in table.parts[part][row].cells]


def test_figures_stand_over_their_intervals_and_chance_below():
    table = recall_table_of(result())
    assert table.header == ("", "R@1", "R@5", "mAP@10", "MedR", "MnR")
    assert [[row.label for row in part] for part in table.parts] == [
        ["Text to audio", "chance"],
        ["Audio to text", "chance"],
    ]
    assert [text for text, _ in cells(table, 0, 0)] == ["12.3", "50.0", "30.0", "4.0", "9.2"]
    below = [interval for _, interval in cells(table, 0, 0)]
    assert below == ["10.0\u2009\u2013\u200915.0", "", "", "3.0\u2009\u2013\u20095.5", ""]
    assert [text for text, _ in cells(table, 0, 1)] == ["20.0", "20.0", "20.0", "3.0", "3.0"]
    assert any("10,000 resamples" in note for note in table.notes)


def test_the_published_row_and_the_difference_to_it():
    target = {"paper": "003", "table": 4, "row": "CNN14", "values": {"text_to_audio": {"R@1": 13.1, "R@5": 33.1}}}
    differences = {
        "R@1": {"published": 0.131, "difference": -0.0076, "inside_ci": True},
        "R@5": {"published": 0.331, "difference": 0.169, "inside_ci": False},
    }
    table = recall_table_of(result(target=target, target_difference={"text_to_audio": differences}))
    assert [row.label for row in table.parts[0]] == ["Text to audio", "chance", "paper 003", "difference"]
    assert cells(table, 0, 2)[:3] == [("13.1", ""), ("33.1", ""), ("", "")]
    assert cells(table, 0, 3)[:3] == [("-0.8", "inside"), ("+16.9", "outside"), ("", "")]
    assert "the recipe aims at paper 003, table 4, row CNN14" in table.notes


def test_unscaled_losses_stand_beside_scaled_ones():
    table = recall_table_of(result(audio_to_text_raw=direction(0.05)))
    assert [row.label for row in table.parts[1]] == ["Audio to text", "unscaled", "chance"]
    assert cells(table, 1, 1)[0] == ("5.0", "")


def test_training_on_the_clips_is_no_note_of_the_table_but_a_warning_of_the_page():
    assert not any("trained on" in note for note in recall_table_of(result(clips_trained_on=3)).notes)


def summary():
    figures = {name: {"mean": 0.2, "deviation": 0.01} for name in ("R@1", "R@5", "mAP@10", "MedR", "MnR")}
    return {"n": 2, "seeds": [1, 2], "text_to_audio": figures, "audio_to_text": figures}


def test_seeds_stand_below_their_mean():
    table = seeds_table_of([result(), result("first/seed-2", 0.3)], summary(), ["a", "b"])
    assert [(row.label, row.link) for row in table.parts[0]] == [
        ("Text to audio: mean of 2", ""),
        ("seed 1", "a"),
        ("seed 2", "b"),
    ]
    assert cells(table, 0, 0)[0] == ("20.0", "± 1.0") and cells(table, 0, 2)[0][0] == "30.0"


def test_runs_are_summed_up_by_direction_each_with_what_scored_it():
    other = result("second", 0.4, scoring="cross_entropy", column_scaling="minmax")
    table = summary_table_of([("first", "run-first", result(), summary()), ("second", "run-second", other, None)])
    assert [row.label for row in table.parts[0]] == [
        "Text to audio", "first, 2 seeds (cosine)", "second (cross_entropy, minmax)", "chance",
    ]  # fmt: skip
    assert cells(table, 0, 1)[0] == ("20.0", "± 1.0")
    assert cells(table, 0, 2)[0] == ("40.0", "10.0\u2009\u2013\u200915.0")


def test_changed_captions_with_the_paper_s_figures():
    test = {"kind": "replace", "set_name": "before_after", "accuracy": 0.768, "ci_low": 0.7, "ci_high": 0.8, "n": 1200}
    test |= dict.fromkeys(("clips", "ties", "several_words", "without_word", "nothing_to_swap", "unchanged"), 0)
    record = {
        "perturbation": {"captions": 9, "clips": 3, "tests": [test]},
        "target": {"paper": "004", "values": {"replace": {"before_after": 76.1}}},
    }
    table = perturbation_table_of(record)
    assert table.header[-1] == "paper 004"
    assert [text for text, _ in cells(table, 0, 0)] == ["76.8", "[70.0, 80.0]", "1,200", "50.0", "76.1"]


def test_intervals_over_few_clips_are_said_to_be_too_narrow():
    of = result()
    assert "ci" in of["text_to_audio"]
    of["text_to_audio"]["ci_clips"] = 29
    assert recall_table_of(of).notes[0].endswith("10,000 resamples; 29 clips: the interval is too narrow")
    of["text_to_audio"]["ci_clips"] = 30
    assert recall_table_of(of).notes[0].endswith("10,000 resamples")
