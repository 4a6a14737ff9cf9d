"""Many runs: one after the other here, or over the GPUs and machines of a Ray cluster.

Ray starts each run anew where the machine that had it is lost; what is done comes back to the caller at once, who
records it, so that a caller that was stopped repeats nothing either.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

RunT = TypeVar("RunT")
RowT = TypeVar("RowT")

PACKAGE = Path(__file__).resolve().parents[1]
RETRIES = 3  # of a run whose machine was lost


@dataclass(frozen=True)
class Share:
    """What one run takes of a machine: CPU cores, and a GPU or a part of one where the cluster has GPUs."""

    cpus: int = 1
    gpus: float = 0.5


def has_ray() -> bool:
    """Whether the extra `ray` is installed."""
    return importlib.util.find_spec("ray") is not None


def in_sequence(task: Callable[[RunT], RowT], runs: Sequence[RunT]) -> Iterator[tuple[RunT, RowT]]:
    """Each run with its row, in order."""
    for run in runs:
        yield run, task(run)


def over_ray(
    task: Callable[[RunT], RowT], runs: Sequence[RunT], share: Share, address: str | None = None
) -> Iterator[tuple[RunT, RowT]]:
    """Each run with its row as it is done, one Ray task a run.

    address   of a running cluster; None takes RAY_ADDRESS, or else starts Ray on this machine alone
    """
    import ray

    started = not ray.is_initialized()
    if started:
        # The nodes need aand-edge installed, and get these scripts from here.
        environment = {"py_modules": [str(PACKAGE)], "excludes": ["work", "results"]}
        ray.init(address=address, runtime_env=environment, log_to_driver=False, include_dashboard=False)
    try:
        resources: dict[str, float] = ray.cluster_resources()
        gpus = share.gpus if resources.get("GPU") else 0

        def one(run: RunT) -> RowT:  # Ray takes a plain function, no partial
            return task(run)

        remote: Any = ray.remote(num_cpus=share.cpus, num_gpus=gpus, max_retries=RETRIES)(one)
        waiting = {remote.remote(run): run for run in runs}
        while waiting:
            done, _ = ray.wait(list(waiting))
            for answer in done:
                yield waiting.pop(answer), ray.get(answer)
    finally:
        if started:
            ray.shutdown()
