"""The tox plugin: a node project gets an environment ``conform``, and the host's versions as pip's constraints.

A project is one of nodes if its ``pyproject.toml`` announces entry points of the group ``tyqi.nodes``; others are left
as they are. What the project's own configuration says goes before what stands here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tox.config.loader.memory import MemoryLoader
from tox.config.types import Command
from tox.plugin import impl
from tox.tox_env.python.pip.req_file import PythonDeps

if TYPE_CHECKING:
    from tox.config.sets import ConfigSet, EnvConfigSet
    from tox.session.state import State

ENVIRONMENT: Final = "conform"
CONSTRAINTS: Final = "tyqi-constraints.txt"
REQUIREMENTS: Final = "tyqi-core[author,images]"
"""Of the environment: the kit, and pictures for the examples. The project's own requirements come with its package."""

_VARIABLE: Final = "PIP_CONSTRAINT"
_known: list[str] = []
"""The environments of this project; known once tox has found its root, which is before it lists them."""


@impl
def tox_extend_envs() -> Iterator[str]:
    """Name the environment. tox asks before it knows the project, and reads the answer afterwards."""
    yield from _known


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Describe the environment, and write the constraints, if this is a project of nodes."""
    _known.clear()
    if not _is_node_project(core_conf):
        return
    _known.append(ENVIRONMENT)
    _write_constraints(_constraints(core_conf))
    if not any(section.name == ENVIRONMENT for section in state.conf.sections()):
        state.conf.memory_seed_loaders[ENVIRONMENT].append(_described(Path(core_conf["tox_root"])))


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Bind what pip installs to the host's versions, unless somebody has named constraints already."""
    core_conf = state.conf.core
    if _VARIABLE in os.environ or not _is_node_project(core_conf):
        return
    env_conf["set_env"].update({_VARIABLE: _for_pip(_constraints(core_conf))}, override=False)


def _described(root: Path) -> MemoryLoader:
    return MemoryLoader(
        description="the conformance kit of tyqi-core on the built wheel",
        deps=PythonDeps(REQUIREMENTS, root=root),
        commands=[Command(["tyqi", "conform", str(root)])],
    )


def _is_node_project(core_conf: ConfigSet) -> bool:
    from tyqi_core.conformance.own_nodes import announces_nodes  # noqa: PLC0415 - tox loads this in every project

    return announces_nodes(Path(core_conf["tox_root"]))


def _constraints(core_conf: ConfigSet) -> Path:
    return Path(core_conf["work_dir"]) / CONSTRAINTS


def _write_constraints(path: Path) -> None:
    from tyqi_core.conformance.host_versions import constraints_text  # noqa: PLC0415 - see above

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(constraints_text(), encoding="utf-8")


def _for_pip(path: Path) -> str:
    """The file as pip reads it from a variable, where spaces separate several."""
    return path.as_uri() if " " in str(path) else str(path)
