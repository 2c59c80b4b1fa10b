"""Memory that runs out costs time, not the extraction, as long as one window fits when nobody else is at work."""

import threading

import numpy as np
import pytest
import torch

from atrkit.encoders.base import EncodedWindow, Encoder, Running, frames_of_clips
from atrkit.encoders.out_of_memory import Turns, is_out_of_memory
from atrkit.errors import ResourceError

RATE_HZ = 100
HOP = 10
PATIENCE_S = 30


class Device:
    """Memory for so many windows, and a batch in it that stays until another one failed beside it.

    Args:
        windows: there is room for.
        error: raised where there is none.
    """

    def __init__(self, windows: int, error: BaseException | None = None) -> None:
        self.free = windows
        self.has_failed = threading.Event()
        self.is_in_use = threading.Event()
        self._error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self._lock = threading.Lock()

    def take(self, windows: int) -> None:
        with self._lock:
            if self.free < windows:
                self.has_failed.set()
                raise self._error
            self.free -= windows
        self.is_in_use.set()

    def give_back(self, windows: int) -> None:
        with self._lock:
            self.free += windows


class SmallEncoder(Encoder):
    """Frames are means of ten samples; a window of a second needs one place on the device.

    Args:
        device_memory: of which windows take what they need.
        batch_size: in clips of ten seconds.
        fails_joining: how often memory runs out when clip vectors are made.
    """

    name, sample_rate_hz, frame_dim, clip_dim, min_samples, window_samples = "small", RATE_HZ, 1, 1, 1, 10 * RATE_HZ

    def __init__(self, device_memory: Device, batch_size: int = 4, fails_joining: int = 0) -> None:
        self._start(HOP / RATE_HZ, Running(batch_size=batch_size), {})
        self._device_memory = device_memory
        self._fails_joining = fails_joining
        self.failed: list[int] = []
        self.remarks: list[str] = []
        self.on_remark = self.remarks.append

    def while_encoding(self, windows: int) -> None:
        """For a test to stop this thread, with its windows on the device."""

    def _frames_of(self, windows):
        try:
            self._device_memory.take(len(windows))
        except (RuntimeError, MemoryError):
            self.failed.append(len(windows))
            raise
        try:
            self.while_encoding(len(windows))
            return [EncodedWindow(torch.from_numpy(wave_N.reshape(-1, HOP).mean(1))[:, None]) for wave_N in windows]
        finally:
            self._device_memory.give_back(len(windows))

    def _clips_of(self, clips):
        if self._fails_joining:
            self._fails_joining -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.stack([frames_TF.mean(0) for frames_TF in frames_of_clips(clips)]), None


def clips_of_ten_seconds(count: int) -> list[np.ndarray]:
    noise = np.random.default_rng(7)
    return [noise.standard_normal(10 * RATE_HZ).astype(np.float32) for _ in range(count)]


def assert_same(encoded, waves) -> None:
    expected = SmallEncoder(Device(1_000)).encode(waves)
    for one, other in zip(encoded.frames, expected.frames, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoded.clip, expected.clip, rtol=0, atol=1e-5)


class Threads:
    """Threads whose results, or errors, are asked for."""

    def __init__(self) -> None:
        self._threads: list[tuple[threading.Thread, list]] = []

    def begin(self, function, *arguments) -> None:
        outcome: list = []

        def run():
            try:
                outcome.append(function(*arguments))
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append((thread, outcome))
        thread.start()

    def outcomes(self) -> list:
        for thread, _ in self._threads:
            thread.join(PATIENCE_S)
        assert all(outcome for _, outcome in self._threads), "a thread waits for ever"
        for _, (outcome,) in self._threads:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for _, (outcome,) in self._threads]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_window_that_does_not_fit_beside_another_threads_is_tried_again_alone(batch_size):
    device = Device(batch_size)
    waves = clips_of_ten_seconds(batch_size)

    class Staying(SmallEncoder):
        def while_encoding(self, windows):
            """The first batch fills the device until the other thread found no room for a single window."""
            if windows == batch_size:
                assert self.has_failed_alone.wait(PATIENCE_S)

    encoder = Staying(device, batch_size)
    encoder.has_failed_alone = threading.Event()
    failed_alone = encoder.has_failed_alone

    class Failures(list):
        def append(self, windows):
            super().append(windows)
            if windows == 1:
                failed_alone.set()

    encoder.failed = Failures()
    threads = Threads()
    threads.begin(encoder.encode, waves)
    assert device.is_in_use.wait(PATIENCE_S)
    threads.begin(encoder.encode, waves)
    for encoded in threads.outcomes():
        assert_same(encoded, waves)
    assert encoder.failed == [windows for windows in (4, 2, 1) if windows <= batch_size]
    assert device.free == batch_size


def test_threads_that_fail_together_halve_the_batch_size_once():
    both_planned = threading.Barrier(2, timeout=PATIENCE_S)
    waves = clips_of_ten_seconds(8)

    class Meeting(SmallEncoder):
        def _frames_of(self, windows):
            if len(windows) == 8:
                both_planned.wait()  # neither has failed yet, so neither has halved
            return super()._frames_of(windows)

    encoder = Meeting(Device(8), batch_size=8)
    encoder._device_memory.free = 7
    threads = Threads()
    taking = threading.Lock()  # batches of four one after the other: there is room for one of them
    encoder.while_encoding = lambda windows: None
    take = encoder._device_memory.take

    def take_in_turn(windows):
        if windows <= 4:
            taking.acquire()
        take(windows)

    give_back = encoder._device_memory.give_back

    def give_back_in_turn(windows):
        give_back(windows)
        taking.release()

    encoder._device_memory.take, encoder._device_memory.give_back = take_in_turn, give_back_in_turn
    for _ in range(2):
        threads.begin(encoder.encode, waves)
    for encoded in threads.outcomes():
        assert_same(encoded, waves)
    assert encoder.failed == [8, 8]
    assert encoder.batch_size == 4
    assert encoder.remarks == ["memory ran out on cpu: going on with --batch-size 4"]


@pytest.mark.parametrize(("room", "sizes"), [(8, []), (5, [4]), (3, [4, 2]), (1, [4, 2, 1])])
def test_each_halving_is_said_once_and_later_calls_begin_with_what_fits(room, sizes):
    encoder = SmallEncoder(Device(room), batch_size=8)
    waves = clips_of_ten_seconds(19)
    assert_same(encoder.encode(waves), waves)
    assert [remark.rpartition(" ")[2] for remark in encoder.remarks] == [str(size) for size in sizes]
    before = len(encoder.failed)
    assert_same(encoder.encode(waves), waves)
    assert len(encoder.failed) == before


def test_short_windows_of_one_item_are_halved_although_the_batch_size_cannot_be():
    """Ten windows of a second are one item of ten seconds."""
    encoder = SmallEncoder(Device(3), batch_size=1)
    waves = [wave_N[:RATE_HZ] for wave_N in clips_of_ten_seconds(10)]
    assert_same(encoder.encode(waves), waves)
    assert encoder.failed == [10, 5, 5] and encoder.remarks == [] and encoder.batch_size == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later", 2)
        if hasattr(torch, "AcceleratorError")
        else RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        MemoryError("Unable to allocate 2.00 GiB for an array with shape (536870912,) and data type float32"),
    ],
    ids=["torch", "cuda", "cublas", "cpu", "numpy"],
)
def test_every_way_to_say_that_memory_ran_out_is_understood(error):
    assert is_out_of_memory(error)
    encoder = SmallEncoder(Device(2, error), batch_size=4)
    waves = clips_of_ten_seconds(4)
    assert_same(encoder.encode(waves), waves)
    with pytest.raises(ResourceError, match=r"^small has no room for one window of 10\.0 s on cpu: .*--device$") as it:
        SmallEncoder(Device(0, error)).encode(waves)
    assert it.value.exit_code == 4 and "\n" not in str(it.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("can't allocate memory"), KeyError("x")])
def test_other_errors_are_left_as_they_are(error):
    class Broken(SmallEncoder):
        def _frames_of(self, windows):
            raise error

    for waves in (clips_of_ten_seconds(1), clips_of_ten_seconds(3)):
        with pytest.raises(type(error)) as caught:
            Broken(Device(9)).encode(waves)
        assert caught.value is error


def test_clip_vectors_are_tried_again_alone_and_then_given_up_in_one_line():
    waves = clips_of_ten_seconds(3)
    assert_same(SmallEncoder(Device(9), fails_joining=1).encode(waves), waves)
    with pytest.raises(ResourceError, match="small has no room for the frames of 3 clips on cpu") as caught:
        SmallEncoder(Device(9), fails_joining=2).encode(waves)
    assert caught.value.exit_code == 4


def test_a_lack_of_memory_when_frames_are_put_together_is_the_same(monkeypatch):
    def cat(tensors):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "cat", cat)
    with pytest.raises(ResourceError, match="no room for the frames of 2 clips"):
        SmallEncoder(Device(9)).encode(clips_of_ten_seconds(2))


def test_one_is_alone_only_when_nobody_works_and_nobody_begins_before_it_is_done():
    turns, threads, order = Turns(), Threads(), []
    first_works, first_may_end, second_is_at_the_door = threading.Event(), threading.Event(), threading.Event()

    def work_first():
        with turns.together():
            first_works.set()
            assert first_may_end.wait(PATIENCE_S)
            order.append("first")

    def work_alone():
        with turns.alone():
            order.append("alone")

    def work_second():
        second_is_at_the_door.set()
        with turns.together():
            order.append("second")

    threads.begin(work_first)
    assert first_works.wait(PATIENCE_S)
    threads.begin(work_alone)
    while not turns._num_wanting_alone:
        threading.Event().wait(0.001)
    threads.begin(work_second)
    assert second_is_at_the_door.wait(PATIENCE_S)
    first_may_end.set()
    threads.outcomes()
    assert order == ["first", "alone", "second"]


def test_many_threads_take_turns_and_none_waits_for_ever():
    turns, threads = Turns(), Threads()
    at_work = {"together": 0, "alone": 0}
    lock = threading.Lock()
    mistakes = []

    def come_and_go(seed):
        for is_alone in np.random.default_rng(seed).random(200) < 0.3:
            kind = "alone" if is_alone else "together"
            with turns.alone() if is_alone else turns.together():
                with lock:
                    at_work[kind] += 1
                    if at_work["alone"] > 1 or (at_work["alone"] and at_work["together"]):
                        mistakes.append(dict(at_work))
                with lock:
                    at_work[kind] -= 1

    for seed in range(6):
        threads.begin(come_and_go, seed)
    threads.outcomes()
    assert mistakes == []


def test_an_error_gives_the_turn_to_the_others():
    turns = Turns()
    for turn in (turns.alone, turns.together, turns.alone):
        with pytest.raises(KeyError), turn():
            raise KeyError
    threads = Threads()
    threads.begin(lambda: turns.alone().__enter__())
    threads.outcomes()
