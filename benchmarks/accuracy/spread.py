"""Many runs: one after the other here, or over the GPUs and machines of a Ray cluster.

Ray starts each run anew where the machine that had it is lost; what is done comes back to the caller at once, who
records it, so that a caller that was stopped repeats nothing either.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from aand_edge.errors import UsageError

RunT = TypeVar("RunT")
RowT = TypeVar("RowT")

PACKAGE = Path(__file__).resolve().parents[1]
RETRIES = 3  # of a run whose machine was lost
PATIENCE_S = 30.0  # without a row, before the cluster is looked at again


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
    task: Callable[[RunT], RowT],
    runs: Sequence[RunT],
    share: Share,
    failed: Callable[[RunT, Exception], RowT],
    address: str | None = None,
) -> Iterator[tuple[RunT, RowT]]:
    """Each run with its row as it is done, one Ray task a run.

    failed    the row of a run whose process died, or raised what its task did not catch; the others go on
    address   of a running cluster; None takes RAY_ADDRESS, or else starts Ray on this machine alone

    Raises UsageError where no machine of the cluster has what one run takes, also when the last such one was lost.
    """
    import ray

    started = not ray.is_initialized()
    if started:
        # The nodes need aand-edge installed, and get these scripts from here.
        environment = {"py_modules": [str(PACKAGE)], "excludes": ["work", "results"]}
        ray.init(address=address, runtime_env=environment, log_to_driver=False, include_dashboard=False)
    try:
        resources: dict[str, float] = ray.cluster_resources()
        taken = replace(share, gpus=share.gpus if resources.get("GPU") else 0)
        check_fits(taken, _machines())

        def one(run: RunT) -> RowT:  # Ray takes a plain function, no partial
            return task(run)

        remote: Any = ray.remote(num_cpus=taken.cpus, num_gpus=taken.gpus, max_retries=RETRIES)(one)
        waiting = {remote.remote(run): run for run in runs}
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=PATIENCE_S)
            if not done:
                check_fits(taken, _machines())
            for answer in done:
                run = waiting.pop(answer)
                yield run, _row(answer, run, failed)
    finally:
        if started:
            ray.shutdown()


def _row(answer: Any, run: RunT, failed: Callable[[RunT, Exception], RowT]) -> RowT:
    import ray

    try:
        row: RowT = ray.get(answer)
    except ray.exceptions.RayError as error:
        return failed(run, error)
    return row


def _machines() -> list[dict[str, float]]:
    """What each machine of the cluster that answers has."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def check_fits(share: Share, machines: Sequence[Mapping[str, float]]) -> None:
    """Raises UsageError where no machine has what one run takes: Ray would wait for one without a word."""
    if any(each.get("CPU", 0) >= share.cpus and each.get("GPU", 0) >= share.gpus for each in machines):
        return
    have = "; ".join(f"{each.get('CPU', 0):g} cores, {each.get('GPU', 0):g} GPUs" for each in machines) or "nothing"
    asked = f"{share.cpus} cores" + (f" and {share.gpus:g} GPUs" if share.gpus else "")
    raise UsageError(
        f"A run takes {asked}, and no machine of the cluster has them ({have})", "Lower --threads or --gpus."
    )


def default_threads(alone: bool) -> int:
    """CPU cores of one run, where nothing else is asked for.

    alone   runs come one after the other: each takes all cores. Side by side they take 4 at most, and never more than
            half of this machine: runs need nothing of one another, and the small convolutions of a training gain less
            from each core more than another run does.
    """
    cores = os.cpu_count() or 1
    return cores if alone else max(1, min(4, cores // 2))
