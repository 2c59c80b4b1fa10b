"""`atrkit ...` in a process of its own, with the links of a small Clotho in place of the official ones.

    LINKS=links.json [BLOCKED=module:function] python with_small_clotho.py download clotho --workspace DIR

With BLOCKED the function, in whichever process calls it, touches the file `reached` in the current folder and waits for
ever.
"""

import importlib
import json
import os
import threading
from pathlib import Path

from atrkit.datasets import aac_tables

if links_path := os.environ.get("LINKS"):
    links, official = json.loads(Path(links_path).read_text()), aac_tables._table
    aac_tables._table = lambda module, name: links if name == "_CLOTHO_LINKS" else official(module, name)

if blocked := os.environ.get("BLOCKED"):

    def wait_for_ever(*arguments, **options):
        Path("reached").touch()
        threading.Event().wait()

    module, _, function = blocked.partition(":")
    setattr(importlib.import_module(module), function, wait_for_ever)

if __name__ == "__main__":
    from atrkit.cli.app import main

    main()
