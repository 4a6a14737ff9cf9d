"""Leave the loop running with faults injected, and account for every frame.

    python -m benchmarks.soak WORKSPACE/engines/NAME.json --record EMPTY-FOLDER --seconds 3600 \
        --out benchmarks/results/soak

Three cameras of rendered parts at full speed: one drops what it cannot judge, one waits, and one is read in a process
of its own. Injected: torn JPEG, pictures of another size, stalls, lost connections, a driver that blocks or crashes,
a wall clock that steps, an engine that fails and one that is built anew, a sink that is slow and one that fails, a
broker (mosquitto, where it is installed) that is killed and brought back, and storms of SIGHUP with settings that
change and at times are broken. A browser looks at the page and Prometheus at the figures, and both leave without a
word. Where the record lies on a disk of its own of less than 1 GB, that is filled up at
times: `mount -t tmpfs -o size=64m tmpfs EMPTY-FOLDER`.

At the end every frame that a camera gave must be judged, dropped or failed, every message for the broker sent, waiting,
dropped or refused; no line of the record may be torn and no thread dead; memory, descriptors and threads must not have
grown (`report.faults` says by how much). Each fault is printed, and the exit code is 1.
"""

from __future__ import annotations

import logging
from pathlib import Path

from benchmarks.report import as_program, parser_of, write_report
from benchmarks.soak.report import faults, markdown
from benchmarks.soak.run import ENGINE_FAILS_EVERY, soak


def main() -> None:
    """Soak, write what came out, and end with the faults."""
    parser = parser_of("benchmarks.soak", __doc__)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument(
        "--engine-fails-every", type=int, default=ENGINE_FAILS_EVERY, help="calls; 0: neither that nor new builds"
    )
    parser.add_argument("--record", type=Path, required=True, help="an empty folder for what the sinks write")
    parser.add_argument("--out", type=Path, required=True, help="without a suffix: .json and .md are written")
    options = parser.parse_args()
    logging.getLogger("aand_edge").addHandler(logging.NullHandler())  # the record has it, and it is much
    result = soak(options.engine, options.seconds, options.record, options.engine_fails_every)
    write_report(options.out, result, markdown(result))
    if found := faults(result):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    as_program(main)
