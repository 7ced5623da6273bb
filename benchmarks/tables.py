"""Write the tables of README and book from what the benchmarks recorded in benchmarks/results.

    python -m benchmarks.tables            write them
    python -m benchmarks.tables --check    say which file differs; exit status 1 if any does

A table stands between the lines <!-- table NAME --> and <!-- end of table NAME -->; nothing else of a file changes.
"""

import argparse
import re
import sys
from pathlib import Path

from benchmarks import record

ROOT = Path(__file__).resolve().parents[1]
FILES = ("README.md", "book/benchmarks.md")
TABLE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table \2 -->)", re.DOTALL)


def fit_table():
    """How near the models come to the truth: toys and mixtures in nats, images in bits for each dimension."""
    cells = [
        [
            row["what"],
            number(row["value"], row["standard_error"]),
            goal(row),
            f"{row.get('mean_cpu_seconds', row['cpu_seconds']):.0f}",
            scientific(row.get("round_trip", row.get("round_trip_1000_test_images"))),
            f"{row['peak_memory_mib']:,}",
        ]
        for row in rows("fit") + rows("fit_images")
        if isinstance(row["value"], float)
    ]
    return table(["what", "reached", "goal", "CPU seconds", "float32 round trip", "peak MiB"], cells)


def speed_table():
    """How long the peers take for what takes nvpkit one unit of time."""
    cells = []
    for row in rows("peers"):
        others = {name: ratio for name, ratio in row.get("times_as_long", {}).items() if name != "nvpkit"}
        if others:
            cells.append([row["what"], number(row["value"], row["standard_error"]), *best_first(others), row["goal"]])
    return table(["what", "best peer takes", "all peers", "goal"], cells)


def hardware_line():
    """On what the recorded figures were measured."""
    found = {f"{row['hardware']}; {versions(row)}; {row['date']}" for name in sources() for row in rows(name)}
    return "".join(f"- {line}\n" for line in sorted(found))


TABLES = {"fit": fit_table, "speed": speed_table, "hardware": hardware_line}


def sources():
    return [path.stem for path in sorted(record.RESULTS.glob("*.json"))]


def rows(name):
    return record.read(record.RESULTS / f"{name}.json")


def number(value, error):
    """Three digits, and the standard error where there is one."""
    digits = 4 if value < 0.1 else 3 if value < 10 else 1
    return f"{value:.{digits}f}" + ("" if not error else f" ± {error:.{digits}f}")


def scientific(value):
    return "" if value is None else f"{value:.0e}".replace("e-0", "e-")


def goal(row):
    """The goal in few words: "at most 1.60 bits/dim within 180 CPU seconds" is 1.60 within 180 s."""
    text = row["goal"].removeprefix("at most ").replace(" bits/dim", "")
    return re.sub(r" CPU seconds$", " s", text)


def best_first(ratios):
    return [", ".join(f"{name} {ratio:.2f}" for name, ratio in sorted(ratios.items(), key=lambda item: item[1]))]


def versions(row):
    return ", ".join(f"{name} {version}" for name, version in row["versions"].items())


def table(head, cells):
    lines = [head, ["---"] * len(head), *cells]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def filled(text):
    """Return a page's text with its tables as the results have them now."""
    return TABLE.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs")
    check = parser.parse_args().check
    differ = []
    for name in FILES:
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = filled(old)
        if new != old:
            differ.append(name)
            if not check:
                path.write_text(new, encoding="utf-8")
    if check and differ:
        sys.exit(f"not what benchmarks/results holds: {', '.join(differ)}. Run python -m benchmarks.tables")
    print("written: " + ", ".join(differ) if differ else "tables are as recorded")


if __name__ == "__main__":
    main()
