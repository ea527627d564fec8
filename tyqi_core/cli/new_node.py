"""``tyqi new-node``: a package with a node in it, from the template that comes with tyqi-core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click

from tyqi_core.cli.output import answer_json, as_json, say
from tyqi_core.errors import OutputError, UsageError

_REFUSED: Final = " cannot be used: "
"""What the template's hook writes between an answer and what is wrong with it."""

Answers = dict[str, str | bool]


class _Kinds(click.Choice[str]):
    """The kinds of nodes; ``pre-processing`` means ``preprocessing``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(str(value).replace("-", ""), param, ctx)


@click.command(
    "new-node",
    epilog="Examples:  tyqi new-node;  tyqi new-node --name rail-wear --kind inference --torch --device any --no-input",
)
@click.option("--name", help="Of the package, without 'tyqi-node-'; the namespace of its node.")
@click.option("--title", help="A few words that people read in a list.")
@click.option("--kind", type=_Kinds(["preprocessing", "inference", "condition", "postprocessing"]))
@click.option("--torch/--no-torch", default=None, help="Whether the node computes with torch.")
@click.option("--device", type=click.Choice(["cpu", "gpu", "any"]), help="gpu and any need --torch.")
@click.option("--licence", type=click.Choice(["Apache-2.0", "MIT", "BSD-3-Clause", "Proprietary"]))
@click.option("--author", help="Stands in the manifest and in the licence.")
@click.option("--repository", help="Address of the source repository, https://...")
@click.option("--no-input", is_flag=True, help="Ask nothing: what no option says has its default.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where the package's folder is made. Default: the current folder.",
)
@as_json
def new_node(*, no_input: bool, out: Path, json_wanted: bool, **options: str | bool | None) -> None:
    """Make a package with one node that works, to be changed into yours.

    Asks what no option says. The package passes 'tox' as it is. Nothing is left behind when anything fails.
    """
    template = _template()
    given: Answers = {key: value for key, value in options.items() if value is not None}
    folder, files = _made(template, given, out, ask=not no_input)
    if json_wanted:
        answer_json({"ok": True, "folder": str(folder), "files": files})
        return
    click.echo(str(folder))
    say(f"{len(files)} files. Next: cd {folder}, then 'tox' tests the node; see README.md there.")


def _template() -> Path:
    from tyqi_core.resources import data_folder

    if find_spec("cookiecutter") is None:
        remedy = "pip install 'tyqi-core[author]'"
        raise UsageError("cookiecutter is not installed, which fills in the template.", remedy=remedy, code="NO_EXTRA")
    return data_folder("templates") / "node-cookiecutter"


class _Refused(UsageError):  # noqa: N818 - as in errors.py, a name that says what is wrong
    """Answers of which no package comes; ``questions`` are to be asked again."""

    def __init__(self, message: str, questions: Collection[str], *, code: str, remedy: str | None = None) -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.questions = questions


def _made(template: Path, given: Answers, out: Path, *, ask: bool) -> tuple[Path, list[str]]:
    """Ask and write, until the answers serve. Where nobody is asked, wrong ones end the command."""
    questions = _Questions.read(template)
    asked = set(questions.defaults) - set(given) if ask else set[str]()
    while True:
        answers = questions.answered(given, asked)
        try:
            return _written(template, answers, out)
        except _Refused as error:
            if not ask:
                raise
            say(str(error))
            given, asked = questions.kept(answers, error.questions), set(error.questions)


def _written(template: Path, answers: Answers, out: Path) -> tuple[Path, list[str]]:
    from tyqi_core.results.files import write_files

    try:
        with TemporaryDirectory(prefix="tyqi-new-node-") as temporary:
            name, contents = _filled(template, answers, Path(temporary))
    except OSError as error:
        raise OutputError(f"the package cannot be made: {error}") from error
    folder = out / name
    if os.path.lexists(folder):
        remedy = "Choose another name, or another folder with --out."
        raise _Refused(f"there is a {folder} already.", ["name"], code="ALREADY_THERE", remedy=remedy)
    write_files(folder, contents)
    return folder, list(contents)


def _filled(template: Path, answers: Answers, temporary: Path) -> tuple[str, dict[str, bytes]]:
    """The name of the package's folder and the content of its files.

    Raises:
        _Refused: an answer cannot be used (``BAD_ANSWER``).
        OutputError: cookiecutter failed by itself.
    """
    odd = [question for question, answer in answers.items() if "{" in str(answer)]
    if odd:  # cookiecutter would read them as templates
        told = [f"{question} {answers[question]!r}{_REFUSED}leave out curly brackets." for question in odd]
        raise _Refused("\n".join(told), odd, code="BAD_ANSWER")
    _run_cookiecutter(template, answers, temporary)
    (folder,) = (temporary / "made").iterdir()
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    # An installer compiles whatever ends in .py, the template's files too; cookiecutter copies what it finds.
    own = {name.as_posix(): path.read_bytes() for name, path in files.items() if "__pycache__" not in name.parts}
    return folder.name, own


def _run_cookiecutter(template: Path, answers: Answers, temporary: Path) -> None:
    """In a process of its own, which reads no settings of the user and leaves nothing in home or temporary folders."""
    settings = temporary / "settings.json"
    folders = {"replay_dir": str(temporary / "replay"), "cookiecutters_dir": str(temporary / "templates")}
    settings.write_text(json.dumps(folders), encoding="utf-8")  # JSON is YAML
    options = ["--no-input", "--config-file", str(settings), "--output-dir", str(temporary / "made")]
    command = [sys.executable, "-P", "-m", "cookiecutter", *options, str(template.absolute())]
    command += [f"{question}={answer}" for question, answer in answers.items()]
    environ = {**os.environ, "PYTHONUTF8": "1", **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode == 0:
        return
    told = [line for line in done.stderr.splitlines() if _REFUSED in line]
    if told:
        raise _Refused("\n".join(told), [line.partition(" ")[0] for line in told], code="BAD_ANSWER")
    last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
    raise OutputError(f"cookiecutter failed: {last}", remedy="Look whether the folder for temporary files is full.")


@dataclass(frozen=True, slots=True)
class _Questions:
    """The template's own questions: key -> default, as a template of what was answered before, or a list of choices."""

    defaults: Mapping[str, str | bool | list[str]]
    prompts: Mapping[str, Any]

    @classmethod
    def read(cls, template: Path) -> _Questions:
        body = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
        return cls({key: value for key, value in body.items() if not key.startswith("_")}, body["__prompts__"])

    def answered(self, given: Answers, asked: Collection[str]) -> Answers:
        """An answer to each question: as given, else what the person says of those asked, else the default."""
        answers: Answers = {}
        for key in self.defaults:
            default = given.get(key, self._default(key, answers))
            beside_the_point = key == "device" and not answers["torch"]
            answers[key] = self._asked(key, default) if key in asked and not beside_the_point else default
        return answers

    def kept(self, answers: Answers, refused: Collection[str]) -> Answers:
        """Those not refused that somebody chose; what followed from other answers is to follow from the new ones."""
        return {
            key: answer
            for key, answer in answers.items()
            if key not in refused and answer != self._default(key, answers)
        }

    def _default(self, key: str, answers: Answers) -> str | bool:
        from jinja2 import Environment

        value = self.defaults[key]
        if isinstance(value, bool):
            return value
        if isinstance(value, list):
            return value[0]
        return Environment(autoescape=False).from_string(value).render(cookiecutter=answers)  # noqa: S701 - no HTML

    def _asked(self, key: str, default: str | bool) -> str | bool:
        choices, text = self.defaults[key], self.prompts[key]
        if not isinstance(text, str):
            text = text["__prompt__"]
        try:
            if isinstance(choices, bool):
                return click.confirm(text, default=bool(default), err=True)
            kind = click.Choice(choices) if isinstance(choices, list) else str
            return str(click.prompt(text, default=default, type=kind, err=True))
        except click.Abort as error:
            if not isinstance(error.__context__, EOFError):  # Ctrl-C
                raise
            message = "the answers end before the questions do."
            raise UsageError(
                message, remedy="Give the options that --help lists, and --no-input for the rest."
            ) from None
