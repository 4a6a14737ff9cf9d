"""Runs over a Ray cluster: two nodes, one of them killed half-way, and every run is done all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aand_edge.errors import UsageError
from benchmarks.accuracy.spread import Share, check_fits, default_threads, in_sequence, over_ray

REPOSITORY = Path(__file__).resolve().parents[3]


def test_in_sequence_each_run_comes_with_its_row() -> None:
    assert list(in_sequence(lambda run: run * run, [1, 2, 3])) == [(1, 1), (2, 4), (3, 9)]


def test_what_no_machine_has_is_refused_and_not_waited_for() -> None:
    machines = [{"CPU": 4.0}, {"CPU": 16.0, "GPU": 1.0}]
    check_fits(Share(16, 1), machines)
    with pytest.raises(UsageError, match=r"takes 17 cores, and no machine .* \(4 cores, 0 GPUs; 16 cores, 1 GPUs\)"):
        check_fits(Share(17, 0), machines)
    with pytest.raises(UsageError, match="takes 8 cores and 2 GPUs"):
        check_fits(Share(8, 2), machines)
    with pytest.raises(UsageError, match=r"\(nothing\)"):
        check_fits(Share(1, 0), [])


@pytest.mark.parametrize(("cores", "shared"), [(1, 1), (2, 1), (4, 2), (64, 4)])
def test_runs_that_are_spread_leave_room_for_one_another(
    monkeypatch: pytest.MonkeyPatch, cores: int, shared: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_threads(alone=True) == cores
    assert default_threads(alone=False) == shared


def told(run: Any, error: Exception) -> str:
    return f"{run} failed: {type(error).__name__}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node of one core on this machine, and this process connected to it. Nodes that a test adds, it loses."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(REPOSITORY))  # nodes import what this process does
        environment.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        nodes: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            ray.init(address=nodes.address, log_to_driver=False)
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_runs_of_a_killed_node_are_started_anew_on_another(cluster: Any, tmp_path: Path) -> None:
    """Trainings' stand-ins that take a while; too long on the node that will be killed. One of them dies by itself."""
    other = cluster.add_node(num_cpus=1)
    folder, head, lost = str(tmp_path), cluster.head_node.node_id, other.node_id
    runs = list(range(8))

    def stand_in(run: int) -> str:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (Path(folder) / f"{run}-{node}").touch()
        time.sleep(600 if node == lost else 0.1)
        if run == 5:
            raise ZeroDivisionError("of a run")
        return f"{run} done"

    def started(node: str) -> set[str]:
        return {path.name.partition("-")[0] for path in tmp_path.glob(f"*-{node}")}

    done: dict[int, str] = {}
    for run, row in over_ray(stand_in, runs, Share(cpus=1), told):
        done[run] = row
        if started(lost) and other in cluster.worker_nodes:
            cluster.remove_node(other, allow_graceful=False)
    assert other not in cluster.worker_nodes
    assert done == {**{run: f"{run} done" for run in runs}, 5: "5 failed: RayTaskError(ZeroDivisionError)"}
    assert started(lost)
    assert started(lost) <= started(head)
    with pytest.raises(UsageError, match="takes 2 cores, and no machine of the cluster has them"):
        next(over_ray(stand_in, runs, Share(cpus=2), told))


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_real_runs_come_back_from_a_cluster_that_loses_a_node(cluster: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from aand_edge.data.sample.write import write_sample_set
    from aand_edge.model.backbones import build_teacher
    from aand_edge.model.choices import find_backbone
    from aand_edge.training.recipe import Recipe
    from benchmarks.accuracy.plan import Run, execute, failed_row

    write_sample_set(tmp_path / "flange", train=8, test_good=2, per_defect=1, size=64)
    torch.save(build_teacher(find_backbone("efficientnet_lite0")).state_dict(), tmp_path / "teacher.pth")
    recipe = Recipe(epochs_amplify=1, epochs_distill=1, batch=4, schedule="cosine").to_dict()
    weights = str(tmp_path / "teacher.pth")
    first = Run(
        str(tmp_path), "auto", "flange", "efficientnet_lite0", weights, 64, recipe, "neighbour", 0, None, "cpu", 1
    )
    runs = [replace(first, method="rd"), *(replace(first, seed=seed) for seed in range(2))]
    broken = replace(first, method="magic")
    other = cluster.add_node(num_cpus=1)
    rows: dict[str, dict[str, Any]] = {}
    for run, row in over_ray(partial(execute, work=tmp_path / "work"), [*runs, broken], Share(cpus=1), failed_row):
        rows[run.name] = row
        if len(rows) == 2:
            cluster.remove_node(other, allow_graceful=False)
    assert other not in cluster.worker_nodes
    assert rows[broken.name]["failed"].startswith("It ended unexpectedly (KeyError, plan.py line ")
    whole = [rows[each.name] for each in runs]
    assert [row.get("failed") for row in whole] == [None] * len(runs)
    assert all(0 <= row["image_auroc"] <= 1 for row in whole)
