"""Clips come through an encoder in the order they went in, with the same bits whatever happened around them."""

import multiprocessing
import queue
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atrkit.audio.read import UnusableAudioError, load_mono
from atrkit.encoders import load_encoder
from atrkit.errors import UsageError
from atrkit.workflows import decode_ahead, encode_ahead, encode_pipeline
from atrkit.workflows.encode_ahead import EncodedClip, encode_parts
from atrkit.workflows.throughput import Balance

RATE_HZ = 8000  # of the fake encoder
PATIENCE_S = 60


def parts_of(dataset, *sizes):
    """Parts of these sizes, numbered by tens."""
    clips = iter(dataset.clips)
    return [(10 * number, [next(clips) for _ in range(size)]) for number, size in enumerate(sizes)]


def encoded(dataset, parts, encoder, **options):
    """All parts, as numbers and entries."""
    return list(encode_parts(dataset, parts, encoder, on_clips=lambda count, audio_s: None, **options))


def bits_of(results):
    """Everything that came of parts, as bytes."""
    return [
        (number, [(e.frames_TF.tobytes(), e.clip_emb_D.tobytes(), e.logits_K, e.is_padded) for e in entries])
        for number, entries in results
    ]


@pytest.mark.parametrize("decoders", [0, 2])
def test_each_clip_is_as_if_encoded_alone_and_in_its_place(make_recordings, decoders):
    durations_s = [0.5, 0.3, 1.5, 0.01, 0.3, 0.9, 0.3, 0.2]
    dataset = make_recordings(durations_s, sample_rate_hz=11025)
    gone = {"01.wav", "04.wav"}  # the first alone in its group, the second with another
    for clip_id in gone:
        (Path(dataset.clips[0].path).parent / clip_id).unlink()
    encoder = load_encoder("logmel", pool_time_s=0.02, batch_size=2)
    results = encoded(dataset, parts_of(dataset, 3, 1, 4), encoder, decoders=decoders)
    assert [(number, len(entries)) for number, entries in results] == [(0, 3), (10, 1), (20, 4)]
    entries = [entry for _, entries in results for entry in entries]
    for clip, duration_s, entry in zip(dataset.clips, durations_s, entries, strict=True):
        if clip.id in gone:
            assert isinstance(entry, UnusableAudioError) and "cannot be read" in str(entry)
            continue
        alone = encoder.encode([load_mono(Path(clip.path), encoder.sample_rate_hz)])
        assert isinstance(entry, EncodedClip)
        assert np.array_equal(entry.frames_TF, alone.frames[0])
        assert np.array_equal(entry.clip_emb_D, alone.clip[0])
        assert entry.logits_K is None
        assert entry.is_padded == (duration_s < 513 / 32000)
    assert multiprocessing.active_children() == []


def test_clips_of_like_length_share_a_batch_the_longest_first(make_recordings, monkeypatch, fake_encoder):
    monkeypatch.setattr(encode_ahead, "WORKERS", 1)
    dataset = make_recordings([1.0, 5.0, 1.1, 12.0, 4.9, 0.9, 0.02, 0.04])
    encoder = fake_encoder(batch_size=1)
    ((_, entries),) = encoded(dataset, [(0, dataset.clips)], encoder)
    seconds = [[round(samples / RATE_HZ, 2) for samples in batch] for batch in encoder.batches]
    assert seconds == [[10.0], [2.0], [5.0, 4.9], [1.1, 1.0, 0.9], [0.05, 0.05]], "12 s are two windows"
    assert [entry.clip_emb_D[1] for entry in entries] == [3, 2, 3, 1, 2, 3, 2, 2]
    assert [entry.is_padded for entry in entries] == [False] * 6 + [True] * 2
    assert all(entry.logits_K == entry.clip_emb_D[:1] for entry in entries)


def of_half_seconds(fake_encoder):
    """An encoder whose batches hold two clips of half a second."""
    encoder = fake_encoder()
    encoder.batch_size = 0.105
    return encoder


@pytest.mark.parametrize(("workers", "decoders"), [(1, 0), (2, 0), (5, 0), (5, 2)])
def test_a_part_made_again_has_the_same_bits_on_any_number_of_cores(
    make_recordings, monkeypatch, workers, decoders, fake_encoder
):
    dataset = make_recordings([0.5, 0.39, 0.5, 0.41, 0.49, 0.3, 0.5, 0.3, 0.5])
    parts = parts_of(dataset, 4, 5)
    monkeypatch.setattr(encode_ahead, "WORKERS", 1)
    alone = [encoded(dataset, [part], of_half_seconds(fake_encoder), decoders=0)[0] for part in parts]
    monkeypatch.setattr(encode_ahead, "WORKERS", workers)
    together = encoded(dataset, parts, of_half_seconds(fake_encoder), decoders=decoders)
    assert {entry.clip_emb_D[1] for _, entries in alone for entry in entries} == {1, 2}
    assert bits_of(together) == bits_of(alone)


def test_the_next_part_is_begun_before_the_last_clip_of_one_is_done(make_recordings, monkeypatch, fake_encoder):
    monkeypatch.setattr(encode_ahead, "WORKERS", 2)
    dataset = make_recordings([0.5, 0.5, 0.6, 0.6])
    next_part_is_begun = threading.Event()
    calls = []

    class Waiting(fake_encoder):
        def encode(self, waves):
            calls.append(len(waves[0]))
            if len(calls) == 1:
                assert next_part_is_begun.wait(PATIENCE_S), "the model stood still at the end of the part"
            elif len(waves[0]) == 0.6 * RATE_HZ:
                next_part_is_begun.set()
            return super().encode(waves)

    encoder = Waiting()
    encoder.batch_size = 0.05  # one clip of 0.5 s
    assert len(encoded(dataset, parts_of(dataset, 2, 2), encoder)) == 2


def test_only_so_much_audio_is_in_memory(make_recordings, monkeypatch, fake_encoder):
    """Counted when a file is decoded; what is encoded has been given back."""
    monkeypatch.setattr(encode_ahead, "WORKERS", 1)
    dataset = make_recordings([0.5] * 60)
    counts = {"decoded": 0, "encoded": 0, "most": 0}

    def load(path, rate_hz):
        counts["decoded"] += 1
        counts["most"] = max(counts["most"], counts["decoded"] - counts["encoded"])
        return load_mono(path, rate_hz)

    class Counting(fake_encoder):
        def encode(self, waves):
            result = super().encode(waves)
            counts["encoded"] += len(waves)
            return result

    monkeypatch.setattr(decode_ahead, "load_mono", load)
    monkeypatch.setattr(encode_ahead, "_room_samples", lambda *arguments: 10 * RATE_HZ // 2)
    encoder = Counting()
    encoder.batch_size = 0.1  # two of these clips
    encoded(dataset, parts_of(dataset, 20, 20, 20), encoder)
    assert counts["encoded"] == 60
    assert 4 <= counts["most"] <= 10


def test_room_grows_with_batches_and_decoders_and_the_longest_clip(make_recordings, fake_encoder):
    dataset = make_recordings([0.5, 0.5])
    parts = [encode_pipeline.Part(0, dataset.clips, [None] * 2, 2)]
    hour = replace(dataset.clips[0], frames=3600 * RATE_HZ)
    with_hour = [encode_pipeline.Part(0, [*dataset.clips, hour], [None] * 3, 3)]

    def room_s(parts, batch_size, threads, decoders):
        return encode_ahead._room_samples(parts, fake_encoder(batch_size), threads, decoders) / RATE_HZ

    assert room_s(parts, 1, 1, 1) == 30 + 60 + 2 * 0.5
    assert room_s(parts, 32, 2, 14) == 4 * 320 + 840 + 2 * 0.5, "there are no more than two"
    assert room_s(with_hour, 1, 1, 1) == 30 + 60 + 3600 + 0.5


@pytest.mark.parametrize(
    ("minutes", "threads", "room_minutes"),
    [(10, 1, 20), (10, 2, 40), (10, 4, 80), (10, 8, 120), (60, 4, 120), (180, 4, 360)],
)
def test_each_thread_has_room_for_a_long_clip_up_to_two_hours_or_two_clips(
    make_recordings, fake_encoder, minutes, threads, room_minutes
):
    """For each a clip to encode and one to decode: with room for one clip, all threads but one would wait for it."""
    (clip,) = make_recordings([0.1]).clips
    long = [replace(clip, frames=60 * minutes * RATE_HZ)] * 50
    parts = [encode_pipeline.Part(0, long, [None] * 50, 50)]
    room_s = encode_ahead._room_samples(parts, fake_encoder(), threads, threads) / RATE_HZ
    assert room_s - 10 * (threads + 2) - 60 * threads == 60 * room_minutes


def test_results_do_not_pile_up_while_a_part_is_written(make_recordings, monkeypatch, fake_encoder):
    """Parts of which none is longer than the results that may wait: two are begun, the third when one is taken."""
    monkeypatch.setattr(encode_pipeline, "RESULTS_AHEAD_S", 0.1)
    dataset = make_recordings([0.5] * 12)
    encoder, held_after = fake_encoder(), queue.SimpleQueue()

    def count_encoded():
        return sum(map(len, encoder.batches))

    class Telling(Balance):
        def observe(self, **threads):
            if threads == {"busy": 0, "waiting": 0, "held": encode_ahead.WORKERS, "cramped": 0}:
                held_after.put(count_encoded())
            super().observe(**threads)

    balance = Telling()
    monkeypatch.setattr(encode_ahead, "WORKERS", 1)
    results = encode_parts(
        dataset, parts_of(dataset, 3, 3, 3, 3), encoder, on_clips=lambda count, audio_s: None, balance=balance
    )
    for taken in range(4):
        next(results)
        if taken < 2:
            expected = 3 * (taken + 2)
            while held_after.get(timeout=PATIENCE_S) != expected:
                continue
            assert count_encoded() == expected
    assert list(results) == []
    assert balance.held_s > 0


class WaitingUntil(Balance):
    """Lets a test wait for what is said of the threads.

    Args:
        is_it: of what `observe` is told.
    """

    def __init__(self, is_it):
        super().__init__()
        self._is_it = is_it
        self.has_come = threading.Event()

    def observe(self, **threads):
        super().observe(**threads)
        if self._is_it(threads):
            self.has_come.set()


def encoding_after(fake_encoder, event):
    class Waiting(fake_encoder):
        def encode(self, waves):
            assert event.wait(PATIENCE_S)
            return super().encode(waves)

    encoder = Waiting()
    encoder.batch_size = 0.05  # one clip of 0.5 s
    return encoder


def test_threads_without_room_for_their_audio_are_short_of_memory_not_of_a_disk(
    make_recordings, monkeypatch, fake_encoder
):
    """Room for one clip, and three threads: one encodes it, two cannot even begin."""
    monkeypatch.setattr(encode_ahead, "WORKERS", 3)
    monkeypatch.setattr(encode_ahead, "_room_samples", lambda *arguments: RATE_HZ // 2)
    dataset = make_recordings([0.5] * 4)
    balance = WaitingUntil(lambda threads: threads == {"busy": 1, "waiting": 0, "held": 0, "cramped": 2})
    encoded(dataset, parts_of(dataset, 4), encoding_after(fake_encoder, balance.has_come), balance=balance)
    assert balance.held_s == 0
    assert balance.bottleneck == "memory"


def test_parts_that_are_not_finished_do_not_wait_for_the_disk(make_recordings, monkeypatch, fake_encoder):
    """No third part may begin before there is room for its results; nobody could write the first two yet."""
    monkeypatch.setattr(encode_ahead, "WORKERS", 3)
    monkeypatch.setattr(encode_pipeline, "RESULTS_AHEAD_S", 0.1)
    dataset = make_recordings([0.5] * 3)
    balance = WaitingUntil(lambda threads: threads == {"busy": 2, "waiting": 0, "held": 0, "cramped": 1})
    encoded(dataset, parts_of(dataset, 1, 1, 1), encoding_after(fake_encoder, balance.has_come), balance=balance)


def test_progress_counts_every_clip_and_audio_only_where_it_was_encoded(make_recordings, fake_encoder):
    dataset = make_recordings([0.5, 0.25, 0.25, 1.0])
    Path(dataset.clips[1].path).unlink()
    told, balance = [], Balance()
    list(
        encode_parts(
            dataset,
            parts_of(dataset, 2, 2),
            fake_encoder(),
            on_clips=lambda count, audio_s: told.append((count, audio_s)),
            balance=balance,
        )
    )
    assert np.sum(told, axis=0).tolist() == [4, 1.75]
    assert balance.audio_s == 1.75
    assert balance.busy_s > 0 and balance.decode_s > 0 and balance.wall_s > 0
    assert "times real time; limit: " in balance.sentence


def test_no_clips_and_empty_parts_are_fine(make_recordings, fake_encoder):
    dataset = make_recordings([0.5])
    assert encoded(dataset, [], fake_encoder()) == []
    results = encoded(dataset, [(1, []), (2, dataset.clips), (3, [])], fake_encoder())
    assert [(number, len(entries)) for number, entries in results] == [(1, 0), (2, 1), (3, 0)]


@pytest.mark.parametrize(
    ("device", "seconds", "decoders", "processes"),
    [
        ("cpu", 3, None, 0),
        ("cpu", 36_000, None, 0),
        ("cuda", 3, None, 0),
        ("cuda", 3599, None, 0),
        ("cuda", 3601, None, 14),
        ("cuda", 3601, 0, 0),
        ("cuda", 300, 5, 5),
        ("cpu", 3, 1, 1),
    ],
)
def test_processes_decode_where_a_gpu_would_wait_or_when_asked(
    make_recordings, monkeypatch, device, seconds, decoders, processes, fake_encoder
):
    chosen = []

    def choose(kind):
        def make(dataset, sample_rate_hz, ahead_samples, on_done, workers):
            chosen.append((kind, workers))
            raise KeyboardInterrupt

        return make

    monkeypatch.setattr(encode_ahead, "DecodingThreads", choose("threads"))
    monkeypatch.setattr(encode_ahead, "DecodingProcesses", choose("processes"))
    monkeypatch.setattr(encode_ahead, "WORKERS", 16)
    dataset = make_recordings([0.5])
    clip = replace(dataset.clips[0], frames=seconds * RATE_HZ // 20)
    encoder = fake_encoder()
    encoder.device = SimpleNamespace(type=device)
    with pytest.raises(KeyboardInterrupt):
        encoded(dataset, [(0, [clip] * 20)], encoder, decoders=decoders)
    assert chosen == [("processes", processes) if processes else ("threads", 16)]


@pytest.mark.parametrize(
    ("num_clips", "asked", "started", "remark"),
    [
        (100, 999, 8, "8 of 999 processes decode: 4 per core"),
        (100, 8, 8, None),
        (5, 7, 5, "5 of 7 processes decode: there is no work for more"),
        (5, 999, 5, "5 of 999 processes decode: there is no work for more"),
        (0, 3, 1, "1 of 3 processes decode: there is no work for more"),
    ],
)
def test_no_more_processes_than_are_of_use(
    make_recordings, monkeypatch, fake_encoder, num_clips, asked, started, remark
):
    """Clips of 20 s: each is a task of its own."""
    chosen, remarks = [], []

    def start(dataset, sample_rate_hz, ahead_samples, on_done, workers):
        chosen.append(workers)
        raise KeyboardInterrupt

    monkeypatch.setattr(encode_ahead, "DecodingProcesses", start)
    monkeypatch.setattr(encode_ahead, "WORKERS", 2)
    dataset = make_recordings([0.5])
    clip = replace(dataset.clips[0], frames=20 * RATE_HZ)
    with pytest.raises(KeyboardInterrupt):
        encoded(dataset, [(0, [clip] * num_clips)], fake_encoder(), decoders=asked, on_remark=remarks.append)
    assert chosen == [started]
    assert remarks == ([remark] if remark else [])


def test_less_than_no_process_is_refused(make_recordings, fake_encoder):
    with pytest.raises(UsageError, match="decoders: -1"):
        encoded(make_recordings([0.5]), [], fake_encoder(), decoders=-1)


def test_torch_has_as_many_threads_afterwards_as_before(make_recordings, fake_encoder):
    dataset = make_recordings([0.5])
    threads = []

    class Looking(fake_encoder):
        def encode(self, waves):
            threads.append(torch.get_num_threads())
            return super().encode(waves)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        encoded(dataset, [(0, dataset.clips)], Looking())
        assert threads == [1] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
