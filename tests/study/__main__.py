"""What each mechanism of the papers does on the embedded data set: `make study`, or `python -m tests.study --quick`.

Every system is trained with every seed by the commands that a user types, in a workspace that stays: stopped at any
moment, the same command goes on. Seeds come one after the other for all systems, so that a table of fewer seeds can be
had at any time (`--table`), and says how many it has.
"""

import argparse
from pathlib import Path

from tests.study.runs import Sizes, run_all
from tests.study.systems import SYSTEMS
from tests.study.tables import markdown_tables, show_tables

BENCH = Path(__file__).resolve().parents[2] / ".bench"
FULL = Sizes(folder=BENCH / "study", clips=3000, val_clips=120, eval_clips=240, seeds=(1, 2, 3, 4, 5), epochs=None)
QUICK = Sizes(folder=BENCH / "study_quick", clips=1200, val_clips=120, eval_clips=240, seeds=(1, 2), epochs=10)


def main() -> None:
    """Train what is missing, evaluate it, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.study", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds, fewer clips, 10 epochs: a quarter of an hour")
    parser.add_argument("--table", action="store_true", help="train nothing: tables of what is finished")
    parser.add_argument("--markdown", action="store_true", help="tables as they stand in the README")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at the same time, one thread each (default 2)")
    parser.add_argument("--only", default="", help="systems whose name begins so")
    parser.add_argument("--seeds", default="", help="these seeds, for example 1,2 (default: all)")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    seeds = tuple(map(int, options.seeds.split(","))) if options.seeds else sizes.seeds
    chosen = [system for system in SYSTEMS if system.name.startswith(options.only)]
    if not options.table:
        run_all(chosen, sizes, seeds, jobs=options.jobs)
    show = markdown_tables if options.markdown else show_tables
    show(sizes, seeds)


if __name__ == "__main__":
    main()
