"""A Ray cluster of several nodes on this machine, small and quick to notice that a node is gone."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["Nodes"]

# Read when Ray is imported. Nothing of a test is reported to anybody.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

_SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
_QUICK = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2_000,
    "health_check_failure_threshold": 2,
}


class Nodes:
    """A head, which executes nothing unless it is given a core, and nodes of one core each."""

    def __init__(self, n_nodes: int, head_cores: int = 0) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": head_cores, "_system_config": _QUICK, **_SMALL}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = []
        for _ in range(n_nodes):
            self.add()

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return str(self.cluster.address)

    def add(self) -> None:
        """Add a node."""
        self.nodes.append(self.cluster.add_node(num_cpus=1, **_SMALL))

    def kill(self, index: int) -> None:
        """Kill a node with SIGKILL, as if its machine had lost power."""
        self.cluster.remove_node(self.nodes.pop(index), allow_graceful=False)

    def close(self) -> None:
        """End all processes of the cluster."""
        self.cluster.shutdown()
