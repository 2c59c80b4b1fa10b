"""What a part does that no server can bring about."""

from atrkit.network.part_file import PartFile


class SlowDisk:
    """Takes at most three bytes at once, as a nearly full disk or a network file system may."""

    def __init__(self):
        self.taken = b""

    def write(self, data):
        self.taken += bytes(data[:3])
        return min(len(data), 3)


def test_a_short_write_is_followed_by_the_rest(tmp_path):
    disk = SlowDisk()
    PartFile(tmp_path / "a.7z").write_to(disk, b"ten bytes!")
    assert disk.taken == b"ten bytes!"


def test_what_is_written_is_in_the_file_at_once(tmp_path):
    part = PartFile(tmp_path / "a.7z")
    with part.appending() as file:
        part.write_to(file, b"abc")
        assert part.part_path.read_bytes() == b"abc"
