"""How long `import voxemo` and `voxemo --help` take, against an empty Python process on the same machine.

Run: python bench/startup.py
"""

import statistics
import subprocess
import sys
import time

RUNS = 15


def median_seconds(command: list[str]) -> float:
    """Median wall time of a command over some runs, after one that warms the disk cache."""
    seconds = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


def main() -> None:
    """Print seconds and ratios."""
    empty = median_seconds([sys.executable, "-c", "pass"])
    print(f"{'empty process':24s} {empty:6.3f} s")
    for name, code in (("import voxemo", "import voxemo"), ("voxemo --help", "import voxemo.cli.main as m; m.run()")):
        command = [sys.executable, "-c", f"import sys; sys.argv = ['voxemo', '--help']; {code}"]
        took = median_seconds(command)
        print(f"{name:24s} {took:6.3f} s  {took / empty:5.1f} x empty")


if __name__ == "__main__":
    main()
