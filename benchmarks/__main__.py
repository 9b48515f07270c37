"""``python -m benchmarks``: measure, print the tables, keep the figures.

    python -m benchmarks [--full] [--keep] [--only loopback far …] [--json]
    python -m benchmarks profile [--rows N] [--keep]

Without options it takes about six minutes; ``--full`` takes longer and includes a list of a million rows. ``--keep``
writes docs/benchmarks.md. Every run leaves its figures as JSON in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from benchmarks import experiments, profiling, report, sink

PARTS = (
    "loopback",
    "start_up",
    "far",
    "stages",
    "options",
    "messages",
    "kills",
    "resume",
    "sizes",
    "lengths",
    "processes",
)


def main() -> None:
    if sys.argv[1:2] == ["profile"]:
        print(profiling.main(sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="more rounds, a million rows; up to 40 minutes")
    parser.add_argument(
        "--tiny", action="store_true", help="a few rows, to see that it works; the figures mean nothing"
    )
    parser.add_argument("--keep", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", action="store_true", help="print the figures instead of tables")
    options = parser.parse_args()
    scale = experiments.FULL if options.full else experiments.TINY if options.tiny else experiments.QUICK
    if sink.program("smtp-sink") is None:
        raise SystemExit("smtp-sink is missing; it comes with Postfix: apt-get install postfix")
    began = time.time()
    found = experiments.everything(scale, options.only)
    found["when"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began))
    found["seconds"] = round(time.time() - began)
    found = json.loads(json.dumps(found))
    text = report.markdown(found, "make bench FULL=1" if options.full else "make bench")
    file = report.write(found, text, sink.ROOT / "benchmarks" / "results", sink.ROOT / "docs" if options.keep else None)
    print(json.dumps(found, indent=1) if options.json else text)
    print(f"\n{found['seconds']} s; figures in {file.relative_to(sink.ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
