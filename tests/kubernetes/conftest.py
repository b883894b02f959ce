"""A fresh cluster, a fresh project on it, and the code server that webserver and daemon ask."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext

from tests.frame.shop import Shop, shop
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.controllers import Controllers
from tests.kubernetes.kubelet import Kubelet
from tests.kubernetes.server import ApiServer
from tests.kubernetes.world import World, environment, instance_settings, make_project, workspace

__all__ = ["api_server", "shop", "world"]


@pytest.fixture
def api_server(shop: Shop) -> Iterator[ApiServer]:
    """A cluster of one node, and its API."""
    kubelet = Kubelet(shop.folder, environment())
    cluster = Cluster(kubelet)
    server = ApiServer(cluster, kubelet, secrets.token_hex(8))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    controllers = Controllers(cluster, kubelet)
    controllers.start()
    yield server
    controllers.stop()
    server.shutdown()
    server.server_close()


@pytest.fixture
def world(shop: Shop, api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The shop's project on a cluster."""
    make_project(shop)
    home = shop.folder / "home"
    home.mkdir()
    kubeconfig = shop.folder / "kubeconfig"
    kubeconfig.write_text(api_server.kubeconfig)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    (home / "dagster.yaml").write_text(instance_settings(shop, kubeconfig))
    api_server.cluster.secrets["shop"] = {"SHOP_PASSWORD": "s3cr3t"}
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, workspace(shop)) as process,
    ):
        yield World(shop, api_server.cluster, api_server, instance, process)
