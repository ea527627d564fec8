"""``tyqi new-node`` as an author calls it: what it asks, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.template.conftest import QUESTIONS, Answer, run
from tyqi_core.cli.new_node import new_node

COMMAND = (sys.executable, "-m", "tyqi_core.cli", "new-node")


@pytest.fixture
def tyqi_new_node(tmp_path: Path) -> Callable[..., Answer]:
    """Call ``tyqi new-node`` in an empty folder; ``given`` is what the person types."""

    def call(*options: str | Path, given: str = "", **environ: str) -> Answer:
        return run(*COMMAND, *options, cwd=tmp_path, given=given, **environ)

    return call


def found(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_without_questions_a_whole_package_is_made(tyqi_new_node, tmp_path):
    answer = tyqi_new_node("--no-input", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert (found(tmp_path), told["folder"]) == (["tyqi-node-first-look"], "tyqi-node-first-look")
    assert sorted(told["files"]) == [
        ".github/workflows/ci.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "tests/test_node.py",
        "tox.ini",
        "tyqi_node_first_look/__init__.py",
        "tyqi_node_first_look/examples/project.yaml",
        "tyqi_node_first_look/examples/surface.png",
        "tyqi_node_first_look/nodes.py",
        "tyqi_node_first_look/normalise.node.yaml",
    ]
    assert all((tmp_path / told["folder"] / name).is_file() for name in told["files"])


def test_what_a_person_types_is_what_is_written_and_enter_takes_the_default(tyqi_new_node, tmp_path):
    typed = ["rail-wear", "Wear of rails", "inference", "y", "any", "MIT", "Gleisbau Müller & Söhne", ""]
    answer = tyqi_new_node("--out", "made", given="\n".join(typed) + "\n")
    assert answer.code == 0, answer.err
    assert answer.out.strip() == str(Path("made", "tyqi-node-rail-wear"))
    package = tmp_path / "made" / "tyqi-node-rail-wear"
    manifest = (package / "tyqi_node_rail_wear" / "segment.node.yaml").read_text(encoding="utf-8")
    assert 'title: "Wear of rails"' in manifest
    assert 'author: "Gleisbau Müller & Söhne"' in manifest
    assert "device: any" in manifest
    assert "Gleisbau Müller & Söhne" in (package / "LICENSE").read_text(encoding="utf-8")
    assert "https://github.com/rail-wear/tyqi-node-rail-wear" in (package / "pyproject.toml").read_text(
        encoding="utf-8"
    )


def test_a_wrong_answer_is_asked_again_and_no_other(tyqi_new_node, tmp_path):
    typed = ["Rail Wear", "", "condition", "", "", "Ann", "", "rail-wear"]
    answer = tyqi_new_node(given="\n".join(typed) + "\n")
    assert answer.code == 0, answer.err
    assert "for example rail-wear" in answer.err
    assert found(tmp_path) == ["tyqi-node-rail-wear"]
    manifest = (tmp_path / "tyqi-node-rail-wear/tyqi_node_rail_wear/triage.node.yaml").read_text(encoding="utf-8")
    assert 'author: "Ann"' in manifest


def test_what_an_option_says_is_not_asked(tyqi_new_node, tmp_path):
    options = ("--kind", "pre-processing", "--no-torch", "--licence", "MIT", "--author", "Ann", "--title", "Wear")
    answer = tyqi_new_node(*options, given="wear\n\n")
    assert answer.code == 0, answer.err
    assert (tmp_path / "tyqi-node-wear/tyqi_node_wear/normalise.node.yaml").is_file()


def test_options_offer_the_choices_that_the_template_has():
    offered = {option.name: list(getattr(option.type, "choices", ())) for option in new_node.params}
    for question, default in QUESTIONS.items():
        if not question.startswith("_"):
            assert offered[question] == (default if isinstance(default, list) else []), question


@pytest.mark.parametrize(
    ("question", "answer", "remedy"),
    [
        ("name", "Rail_Wear", "for example rail-wear"),
        ("name", "1st", "a letter first"),
        ("name", "--x", "a letter first"),
        ("name", "größe", "lower-case"),
        ("name", "a\nb", "for example a-b"),
        ("name", "../up", "for example up"),
        ("name", "tyqi-node-wear", "leave that out: wear"),
        ("name", "a" * 41, "at most 40"),
        ("title", 'The "best"', "leave out"),
        ("title", "back\\slash", "leave out"),
        ("title", "two\nlines", "leave out"),
        ("title", "  ", "write a few words"),
        ("author", "a" * 201, "at most 200"),
        ("author", "<b>Ann</b>", "leave out"),
        ("repository", "git@host:x.git", "https://host/path"),
        ("repository", "https://host.org/x y", "https://host/path"),
        ("device", "gpu", "choose torch"),
        ("device", "any", "choose torch"),
    ],
)
def test_the_template_refuses_what_makes_no_package_with_a_remedy_and_leaves_nothing(
    bake, tmp_path, capfd, question, answer, remedy
):
    from cookiecutter.exceptions import FailedHookException

    with pytest.raises(FailedHookException):
        bake(tmp_path, **{question: answer})
    assert f"{question} {answer!r} cannot be used: " in (told := capfd.readouterr().err)
    assert remedy in told
    assert found(tmp_path) == []


@pytest.mark.parametrize("title", ["{{ 1 + 1 }}", "{% raw %}"])
def test_an_answer_is_not_read_as_a_template(tyqi_new_node, tmp_path, title):
    answer = tyqi_new_node("--no-input", "--title", title, "--out", "made")
    assert (answer.code, "leave out curly brackets" in answer.err) == (2, True)
    assert found(tmp_path) == []


def test_several_wrong_answers_are_told_together(tyqi_new_node, tmp_path):
    answer = tyqi_new_node("--no-input", "--name", "A", "--title", "<b>", "--json", "--out", "made")
    assert (answer.code, "Traceback" in answer.err, found(tmp_path)) == (2, False, [])
    error = json.loads(answer.out)["error"]
    assert error["code"] == "BAD_ANSWER"
    assert [line.partition(" ")[0] for line in error["message"].splitlines()] == ["name", "title"]


def test_a_folder_that_is_there_already_is_not_touched(tyqi_new_node, tmp_path):
    (tmp_path / "tyqi-node-first-look").mkdir()
    answer = tyqi_new_node("--no-input")
    assert (answer.code, "ALREADY_THERE" in answer.err) == (2, True)
    assert found(tmp_path / "tyqi-node-first-look") == []


def test_where_nothing_can_be_written_nothing_is_left(tyqi_new_node, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    answer = tyqi_new_node("--no-input", "--out", Path("file", "below"))
    assert answer.code == 1, answer.err
    assert "OUTPUT_NOT_A_FOLDER" in answer.err
    assert found(tmp_path) == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file sizes")
def test_a_disk_that_is_full_halfway_leaves_nothing(tmp_path):
    import resource

    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    out.mkdir()
    done = subprocess.run(
        [*COMMAND, "--no-input", "--out", str(out)],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),  # the licence does not fit
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "cookiecutter failed" in done.stderr
    assert (found(temporary), found(out)) == ([], [])


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_between_questions_leaves_nothing(tmp_path):
    asking = subprocess.Popen(
        COMMAND, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert asking.stderr is not None
    asking.stderr.read(4)  # it has begun to ask
    asking.send_signal(signal.SIGINT)
    asking.communicate(timeout=60)
    assert asking.returncode == 130
    assert found(tmp_path) == []


def test_answers_that_end_early_are_told_what_to_do(tyqi_new_node, tmp_path):
    answer = tyqi_new_node(given="wear\n")
    assert (answer.code, "--no-input" in answer.err) == (2, True)
    assert found(tmp_path) == []


def test_neither_settings_nor_home_of_the_user_are_read_or_written(tyqi_new_node, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "broken").write_text("default_context: [", encoding="utf-8")
    answer = tyqi_new_node("--no-input", HOME=str(home), COOKIECUTTER_CONFIG=str(home / "broken"))
    assert answer.code == 0, answer.err
    assert found(home) == ["broken"]


def test_a_module_of_the_current_folder_is_not_taken_for_a_library(tyqi_new_node, tmp_path):
    (tmp_path / "cookiecutter.py").write_text("raise SystemExit('wrong module')\n", encoding="utf-8")
    answer = run(sys.executable, "-P", *COMMAND[1:], "--no-input", cwd=tmp_path)
    assert answer.code == 0, answer.err


def test_without_cookiecutter_the_line_that_installs_it_is_told(tmp_path):
    program = "import sys; sys.modules['cookiecutter'] = None; from tyqi_core.cli import main; main()"
    answer = run(sys.executable, "-c", program, "new-node", "--no-input", cwd=tmp_path)
    assert answer.code == 2
    assert "pip install 'tyqi-core[author]'" in answer.err
    assert found(tmp_path) == []


@pytest.mark.slow
def test_the_template_in_an_installed_wheel_gives_the_same_package_although_it_was_compiled(
    core_dist, tyqi_new_node, tmp_path
):
    import compileall
    import zipfile

    site = tmp_path / "site"
    with zipfile.ZipFile(next(core_dist.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    compileall.compile_dir(site / "tyqi_core" / "_data", quiet=2)  # as pip does
    assert list(site.rglob("*.pyc"))
    listed = [
        json.loads(tyqi_new_node("--no-input", "--json", "--out", out, **environ).out)["files"]
        for out, environ in (("here", {}), ("there", {"PYTHONPATH": str(site)}))
    ]
    assert listed[0] == listed[1]
    for name in listed[0]:
        here, there = (tmp_path / out / "tyqi-node-first-look" / name for out in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()
