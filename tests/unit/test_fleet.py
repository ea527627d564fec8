"""Which workers are started for which queues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tyqi_core.errors import UsageError
from tyqi_core.runtime.distributed.fleet import (
    Private,
    Wanted,
    gpu_devices,
    plan_private,
    plan_workers,
    worker_child,
)
from tyqi_core.runtime.distributed.queues import QUEUES
from tyqi_core.runtime.processes.board_folder import board_folder


def planned(*queues: str, **wanted):
    return [
        (plan.queues, plan.pool, plan.concurrency, plan.device)
        for plan in plan_workers(Wanted(queues, **wanted), cores=8)
    ]


def test_cpu_queues_and_those_of_environments_share_processes_one_a_core():
    assert planned("cpu.short", "env.3fa9", "cpu.long.2") == [
        (("cpu.short", "env.3fa9", "cpu.long.2"), "prefork", 8, None)
    ]


def test_each_device_gets_a_process_that_executes_one_task_at_a_time():
    assert planned("gpu.short", "gpu.long", devices=["0", "1"]) == [
        (("gpu.short", "gpu.long"), "threads", 1, "0"),
        (("gpu.short", "gpu.long"), "threads", 1, "1"),
    ]


def test_queues_of_several_classes_get_a_worker_for_each():
    assert planned("io", "cpu.short", "gpu.short", devices=["GPU-5e"], concurrency=None) == [
        (("io",), "threads", 16, None),
        (("cpu.short",), "prefork", 8, None),
        (("gpu.short",), "threads", 1, "GPU-5e"),
    ]


def test_what_is_asked_for_goes_before_what_is_usual():
    assert planned("cpu.short", pool="threads", concurrency=3) == [(("cpu.short",), "threads", 3, None)]
    assert planned("cpu.short", pool="solo") == [(("cpu.short",), "solo", 1, None)]


def test_the_setting_for_memory_is_for_processes_that_fork_alone():
    plans = plan_workers(Wanted(["cpu.short", "io"]), cores=2, memory_mb=500)
    assert [(plan.pool, plan.max_memory_mb) for plan in plans] == [("prefork", 500), ("threads", None)]


@pytest.mark.parametrize(
    ("queues", "wanted", "said"),
    [
        pytest.param(["cpu.short"], {"pool": "threads", "max_memory_mb": 9}, "--max-memory", id="memory of threads"),
        pytest.param(["cpu.short", "io"], {"max_memory_mb": 9}, "--max-memory", id="memory of some"),
        pytest.param(["cpu.short"], {"pool": "solo", "concurrency": 2}, "one task at a time", id="solo"),
        pytest.param(["gpu.short"], {"pool": "prefork", "devices": ["0"]}, "fork", id="CUDA forked"),
        pytest.param(["gpu.short"], {"concurrency": 2, "devices": ["0"]}, "device", id="two on a device"),
        pytest.param(["cpu.short"], {"pool": "gevent"}, "io queues only", id="computing in gevent"),
        pytest.param(["io"], {"pool": "twisted"}, "Pools are", id="no pool"),
        pytest.param(["cpu.shrot"], {}, "cpu.short", id="no queue"),
        pytest.param([], {}, "no queue", id="nothing"),
        pytest.param(["gpu.short"], {"devices": []}, "--devices", id="no device"),
    ],
)
def test_what_a_pool_cannot_do_is_refused_before_anything_starts(queues, wanted, said):
    with pytest.raises(UsageError, match=said):
        plan_workers(Wanted(queues, **wanted), cores=2)


def test_devices_are_those_that_cuda_would_show():
    assert gpu_devices({"CUDA_VISIBLE_DEVICES": "2, 3"}) == ["2", "3"]
    assert gpu_devices({"CUDA_VISIBLE_DEVICES": ""}) == gpu_devices({"CUDA_VISIBLE_DEVICES": "-1"}) == []


def test_planning_for_devices_loads_no_torch():
    code = "import sys; from tyqi_core.runtime.distributed.fleet import gpu_devices as look; look()"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_sees_its_own_device_alone(queue, tmp_path):
    (plan,) = plan_workers(Wanted([queue], devices=["3"]), cores=2)
    child = worker_child(plan, tmp_path, {"CUDA_VISIBLE_DEVICES": "0,1,2,3", "HOME": "/"})
    assert child.env is not None
    seen = {"gpu": "3", "io": "0,1,2,3", "cpu": ""}
    assert child.env["CUDA_VISIBLE_DEVICES"] == seen[queue.partition(".")[0]]
    assert (child.env["TYQI_QUEUES"], child.env["TYQI_BOARD"], child.env["HOME"]) == (queue, str(tmp_path), "/")


def test_two_workers_of_one_kind_have_different_names():
    (plan,) = plan_workers(Wanted(["cpu.short"]), cores=2)
    first, second = (worker_child(plan, Path("b"), {}).argv for _ in range(2))
    assert first[:-1] == second[:-1]
    assert first[-1] != second[-1]


def test_a_board_is_for_its_user_alone_and_goes_with_its_supervisor(tmp_path):
    with board_folder(tmp_path) as board:
        assert board.stat().st_mode & 0o777 == 0o700
        (board / "told").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_supervisor_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path):
    code = (
        "import os, pathlib, sys\nfrom tyqi_core.runtime.processes.board_folder import board_folder\n"
        "with board_folder(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    with board_folder(tmp_path) as living:
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
        assert len(list(tmp_path.iterdir())) == 2
        with board_folder(tmp_path) as other:
            assert {*tmp_path.iterdir()} == {living, other}
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - what is there, not paths


def test_an_isolated_environment_is_served_by_its_own_interpreter_that_sees_nothing_of_this_one(tmp_path):
    private = Private("crack", "env.3fa9", "/elsewhere/bin/python")
    (plan,) = plan_private(private, Wanted(concurrency=2), cores=8)
    assert (plan.queues, plan.pool, plan.concurrency) == (("env.3fa9",), "prefork", 2)
    child = worker_child(plan, tmp_path, {"PATH": "/bin"})
    assert list(child.argv[:4]) == ["/elsewhere/bin/python", "-I", "-m", "tyqi_core.worker"]
    assert child.env
    assert child.env["TYQI_HOST_PREFIX"] == sys.prefix


def test_an_isolated_environment_whose_nodes_need_a_gpu_gets_a_process_a_device():
    private = Private("crack", "env.3fa9", "/elsewhere/bin/python", "gpu")
    plans = plan_private(private, Wanted(devices=["0", "1"], concurrency=4), cores=8)
    assert [(plan.pool, plan.concurrency, plan.device) for plan in plans] == [("threads", 1, "0"), ("threads", 1, "1")]
    assert len({plan.name for plan in plans}) == 2
