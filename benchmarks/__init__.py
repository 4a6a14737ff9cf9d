"""Scripts that measure. Each runs as `python -m benchmarks.NAME` from the repository's root; none is installed.

Nothing is imported here: `peers_anomalib` runs in an environment that has anomalib and none of our libraries.
"""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
WORK = REPOSITORY / "benchmarks" / "work"  # what a measurement may need again; ignored by git
