"""`atrkit ...` in a process of its own, which takes a small Clotho or AudioCaps for the published one.

    LINKS=links.json CLIPS=12 [BLOCKED=module:function] python with_small_datasets.py download clotho --workspace DIR

LINKS are those of Clotho's files, CLIPS is how many validation clips AudioCaps has, with five captions each. With
BLOCKED the function, in whichever process calls it, touches the file `reached` in the current folder and waits for
ever. Retries come at once.
"""

import importlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

from atrkit.datasets import aac_tables
from atrkit.datasets.audiocaps import tables
from atrkit.network import transfer

transfer.DEFAULT_SETTINGS = replace(transfer.DEFAULT_SETTINGS, first_delay_s=0.1)

if links_path := os.environ.get("LINKS"):
    links, official = json.loads(Path(links_path).read_text()), aac_tables._table
    aac_tables._table = lambda module, name: links if name == "_CLOTHO_LINKS" else official(module, name)

if clips := os.environ.get("CLIPS"):
    tables.KNOWN_TABLES["v1", "val"] = tables.KnownTable(None, 5 * int(clips), int(clips))

if blocked := os.environ.get("BLOCKED"):

    def wait_for_ever(*arguments, **options):
        Path("reached").touch()
        threading.Event().wait()

    module, _, function = blocked.partition(":")
    setattr(importlib.import_module(module), function, wait_for_ever)

if __name__ == "__main__":
    from atrkit.cli.app import main

    main()
