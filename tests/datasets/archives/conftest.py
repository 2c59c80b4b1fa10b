"""Archives of any format, with any names in them."""

import io
import tarfile
import zipfile

import numpy as np
import py7zr
import pytest


@pytest.fixture(scope="session")
def clips() -> dict[str, bytes]:
    """Files of several sizes with the odd names that Clotho has."""
    noise = np.random.default_rng(0)
    return {
        "Santa Motor.wav": noise.bytes(3000),
        " typical neighborhood in Porto.wav": noise.bytes(50_000),
        "121006_rain&amp;storm.wav": noise.bytes(20),
        "100% wool; #2.wav": b"quiet" * 400,
        "Año.wav": b"",
    }


@pytest.fixture
def pack(tmp_path):
    """Write an archive of any format with the names and bytes given, whatever the names are."""

    def pack(kind, files, name="clips", folder="development/"):
        path = tmp_path / f"{name}.{kind}"
        entries = {folder + file_name: data for file_name, data in files.items()}
        match kind:
            case "7z":
                with py7zr.SevenZipFile(path, "w") as archive:
                    for entry, data in entries.items():
                        archive._writestr(data, entry)  # writestr itself refuses names that lead elsewhere
            case "zip":
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                    for entry, data in entries.items():
                        archive.writestr(entry, data)
            case _:
                with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
                    for entry, data in entries.items():
                        info = tarfile.TarInfo(entry)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
        return path

    return pack
