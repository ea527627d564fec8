"""``tyqi constraints``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example:  tyqi constraints --out host.txt && pip install -c host.txt tyqi-node-crack")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="A file; default: standard output.")
def constraints(out: Path | None) -> None:
    """Print the exact versions of the packages that tyqi-core stands on here, as a constraints file of pip.

    Whoever installs a plugin with it cannot move the host's torch, numpy or celery. Plugins are not in it.
    """
    from tyqi_core.conformance.host_versions import constraints_text

    text = constraints_text()
    if out is None:
        click.echo(text, nl=False)
        return
    from tyqi_core.results.files import write_files

    write_files(out.parent, {out.name: text.encode()})
    click.echo(str(out))
