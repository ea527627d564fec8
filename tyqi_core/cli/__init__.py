"""The command line, one module a verb group. A command's module is imported when the command is used."""

from __future__ import annotations

import signal

import click

from tyqi_core.cli.lazy import LazyGroup
from tyqi_core.cli.output import fail, leave

COMMANDS = {
    "run": ("tyqi_core.cli.run", "run", "Inspect pictures with a project, in this process."),
    "submit": ("tyqi_core.cli.submit", "submit", "Inspect pictures with a project, on workers."),
    "up": ("tyqi_core.cli.up", "up", "Run store, workers and orchestrator on this machine."),
    "worker": ("tyqi_core.cli.worker", "worker", "Execute tasks of submitted runs."),
    "orchestrator": ("tyqi_core.cli.orchestrator", "orchestrator", "Look after runs on workers."),
    "resume": ("tyqi_core.cli.run", "resume", "Go on with a run that failed or was cancelled."),
    "cancel": ("tyqi_core.cli.cancel", "cancel", "Stop a run on workers."),
    "dead": ("tyqi_core.cli.dead", "dead", "List runs on workers that failed, and run them again from there."),
    "validate": ("tyqi_core.cli.validate", "validate", "Name every fault of project files, with line and remedy."),
    "graph": ("tyqi_core.cli.graph", "graph", "Draw a project, or the path that a run took through it."),
    "nodes": ("tyqi_core.cli.nodes", "nodes", "List the installed nodes, describe one, or run one."),
    "runs": ("tyqi_core.cli.runs", "runs", "List runs, tell the story of one, or follow it."),
    "replay": ("tyqi_core.cli.replay", "replay", "Repeat a recorded run and compare what comes out."),
    "queues": ("tyqi_core.cli.queues", "queues", "Show what nodes took, and propose queues, workers and devices."),
    "constraints": ("tyqi_core.cli.constraints", "constraints", "Print the host's exact versions for pip."),
    "conform": (
        "tyqi_core.cli.conform",
        "conform",
        "Check the wheel of a node package, and say which tier it reaches.",
    ),
    "registry": ("tyqi_core.cli.registry", "registry", "Publish, find and check nodes in a registry."),
    "doctor": ("tyqi_core.cli.doctor", "doctor", "Check the installation and every installed node."),
    "completion": ("tyqi_core.cli.completion", "completion", "Print the completion script of a shell."),
}


@click.group(
    cls=LazyGroup,
    commands_table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example:  tyqi run project.yaml --inputs-dir pictures --out results",
)
@click.version_option(package_name="tyqi-core", prog_name="tyqi")
def cli() -> None:
    """Inspection workflows as graphs of plug-in nodes.

    Exit codes: 0 all well; 1 a run or a check failed; 2 wrong usage or an invalid file.
    """


def main() -> None:
    """The ``tyqi`` program: errors become one line on standard error and an exit code.

    A supervisor's SIGTERM stops a command as Ctrl-C does: what had begun can be resumed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli(prog_name="tyqi", standalone_mode=False)  # an exit code is returned here, not raised
    except (click.ClickException, click.Abort, KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - the outermost door
        code = fail(error)
    leave(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
