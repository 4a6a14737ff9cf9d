"""Runs over a Ray cluster: two nodes, one of them killed half-way, and every run is done all the same."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.spread import Share, in_sequence, over_ray


def test_in_sequence_each_run_comes_with_its_row() -> None:
    assert list(in_sequence(lambda run: run * run, [1, 2, 3])) == [(1, 1), (2, 4), (3, 9)]


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_runs_of_a_killed_node_are_started_anew_on_another(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    folder = str(tmp_path)

    def stand_in(run: int) -> int:
        """Says where it started, and takes a while, as a training does; too long on the node that will be killed."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        (Path(folder) / f"{run}-{node}").touch()
        time.sleep(600 if (Path(folder) / "slow").read_text() == node else 0.2)
        return run * run

    def started(node: str) -> list[Path]:
        return list(tmp_path.glob(f"*-{node}"))

    done: dict[int, int] = {}
    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        other = cluster.add_node(num_cpus=1)
        (tmp_path / "slow").write_text(other.node_id)
        head = cluster.head_node.node_id
        ray.init(address=cluster.address, log_to_driver=False)
        for run, row in over_ray(stand_in, list(range(12)), Share(cpus=1)):
            done[run] = row
            if started(other.node_id) and other in cluster.worker_nodes:
                cluster.remove_node(other, allow_graceful=False)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert other not in cluster.worker_nodes
    assert done == {run: run * run for run in range(12)}
    lost = {path.name.partition("-")[0] for path in started(other.node_id)}
    again = {path.name.partition("-")[0] for path in started(head)}
    assert lost
    assert lost <= again
