"""A tox plugin: the environments of a node project find the very tyqi-core that runs tox, whatever an index has.

It is offered through a file of constraints that holds nothing but a place to look in: unlike ``PIP_FIND_LINKS`` that
takes nothing away from what the user's own settings of pip say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tox.plugin import impl

if TYPE_CHECKING:
    from tox.config.sets import ConfigSet, EnvConfigSet
    from tox.session.state import State

_VARIABLE: Final = "PIP_CONSTRAINT"


@impl
def tox_add_core_config(core_conf: ConfigSet) -> None:
    """Write the wheel and the file that leads to it, once for a call of tox."""
    from tyqi_core.conformance.core_wheel import write_core_wheel  # noqa: PLC0415 - see below

    if _wanted(core_conf):
        link = _link(core_conf)
        wheel = write_core_wheel(link.parent)
        link.write_text(f"--find-links {wheel.parent.as_uri()}\n", encoding="utf-8")


@impl(trylast=True)  # what others say of constraints is known by then
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Put the file behind the constraints that hold already."""
    link = _link(state.conf.core)
    if not _wanted(state.conf.core) or not link.is_file():
        return
    settings = env_conf["set_env"]
    before = settings.load(_VARIABLE) if _VARIABLE in settings else os.environ.get(_VARIABLE, "")
    settings.update({_VARIABLE: f"{before} {link.as_uri()}".strip()}, override=True)


def _link(core_conf: ConfigSet) -> Path:
    return Path(core_conf["work_dir"]) / "tyqi-core" / "where.txt"


def _wanted(core_conf: ConfigSet) -> bool:
    from tyqi_core.conformance.own_nodes import announces_nodes  # noqa: PLC0415 - tox loads this in every project

    return announces_nodes(Path(core_conf["tox_root"]))
