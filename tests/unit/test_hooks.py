from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path
from types import ModuleType

import pytest

from tyqi_core.hooks import HOOK_NAMES, Hooks, HookSpecs, hookimpl, load_hooks

DOCUMENT = Path(__file__).parents[2] / "docs" / "hooks.md"

GOOD = """
from tyqi_core.hooks import hookimpl
seen = []
@hookimpl
def node_failed(task, error):
    seen.append((task, str(error)))
"""
BAD = {
    "missing": ("import no_such_module_at_all", "it cannot be imported: ModuleNotFoundError"),
    "leaving": ("import sys; sys.exit(2)", "it cannot be imported: it called sys.exit()"),
    "misspelt": (GOOD + "@hookimpl\ndef node_faild(task): pass", "there is no hook 'node_faild'"),
    "argument": (GOOD + "@hookimpl\ndef node_after(task, colour): pass", "colour"),
    "useless": ("x = 1", "it implements no hook"),
    "classy": (
        "import tyqi_core.hooks as h\nclass plugin:\n    @h.hookimpl\n    def node_failed(self): pass",
        "the class plugin",
    ),
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[PathDistribution]]:
    """Installs hook packages: name -> source of its module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(sources: dict[str, str]) -> list[PathDistribution]:
        for name, source in sources.items():
            (tmp_path / f"hooks_{name}.py").write_text(source + "\n", encoding="utf-8")
            info = tmp_path / f"acme_{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n", encoding="utf-8"
            )
            target = f"hooks_{name}" + (":plugin" if "class plugin" in source else "")
            (info / "entry_points.txt").write_text(f"[tyqi]\n{name} = {target}\n", encoding="utf-8")
            monkeypatch.delitem(sys.modules, f"hooks_{name}", raising=False)
        return [PathDistribution(tmp_path / f"acme_{name}-1.0.dist-info") for name in sources]

    return install


class Chooser:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    @hookimpl
    def queue_for(self, node: str) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_hook_package_is_called_with_the_arguments_it_asks_for(
    packages: Callable[..., list[PathDistribution]],
) -> None:
    hooks = load_hooks(packages({"good": GOOD}))
    assert hooks.failures == []
    hooks.notify("node_failed", run_id="r", task="T1", node="a.b@1.0.0", error=ValueError("so"))
    assert sys.modules["hooks_good"].seen == [("T1", "so")]


def test_every_failing_package_is_reported_and_left_out_while_the_others_load(
    packages: Callable[..., list[PathDistribution]],
) -> None:
    sources = {name: source for name, (source, _) in BAD.items()}
    hooks = load_hooks(packages({**sources, "good": GOOD}))
    assert {failure.name: failure.distribution for failure in hooks.failures} == {name: f"acme-{name}" for name in BAD}
    for failure in hooks.failures:
        assert BAD[failure.name][1] in failure.reason
    hooks.notify("node_failed", run_id="r", task="T1", node="a.b@1.0.0", error=ValueError("so"))
    assert sys.modules["hooks_good"].seen == [("T1", "so")]
    assert sys.modules["hooks_misspelt"].seen == []
    assert sys.modules["hooks_argument"].seen == []
    assert not hooks.implemented("node_after")


def test_a_damaged_distribution_announces_nothing(
    packages: Callable[..., list[PathDistribution]], tmp_path: Path
) -> None:
    distributions = packages({"good": GOOD, "odd": GOOD})
    (tmp_path / "acme_odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[tyqi]\nodd = \xff\n")
    assert load_hooks(distributions).implemented("node_failed")


def test_a_name_that_is_taken_and_a_plugin_in_use_are_refused() -> None:
    hooks, plugin = Hooks(), Chooser("io")
    assert hooks.add(plugin, "first")
    assert not hooks.add(Chooser("gpu.short"), "first")
    assert not hooks.add(plugin, "again")
    assert hooks.queue_for("a.b@1.0.0", "cpu.short", {}) == "io"


def test_an_optional_hook_of_a_later_version_is_no_fault() -> None:
    module = ModuleType("future")
    module.weather_changed = hookimpl(optionalhook=True)(lambda: None)  # type: ignore[attr-defined]
    assert Hooks().add(module, "future")


@pytest.mark.parametrize(
    ("answer", "queue"), [("gpu.long", "gpu.long"), (None, "cpu.short"), (ValueError("so"), "cpu.short")]
)
def test_a_queue_is_chosen_or_stays(answer: object, queue: str) -> None:
    hooks = Hooks()
    hooks.add(Chooser(answer), "chooser")
    assert hooks.queue_for("a.b@1.0.0", "cpu.short", {}) == queue


def test_what_a_watching_hook_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Watcher:
        @hookimpl
        def node_before(self, task: str) -> None:
            raise RuntimeError(f"no {task}")

    hooks = Hooks()
    hooks.add(Watcher(), "watcher")
    hooks.notify("node_before", run_id="r", task="T1", node="a.b@1.0.0", params={})
    assert "no T1" in caplog.text


def test_offers_are_gathered_from_all_and_a_failing_one_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Commands:
        @hookimpl
        def cli_commands(self) -> list[str]:
            return ["one", "two"]

        @hookimpl
        def stream_sinks(self) -> dict[str, object]:
            return {"kafka": print}

    class Broken:
        @hookimpl
        def cli_commands(self) -> list[str]:
            raise RuntimeError("no commands")

    hooks = Hooks()
    hooks.add(Commands(), "commands")
    hooks.add(Broken(), "broken")
    assert hooks.gathered("cli_commands") == ["one", "two"]
    assert hooks.gathered("stream_sinks") == [("kafka", print)]
    assert "no commands" in caplog.text


def test_each_hook_is_documented_with_its_arguments() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    specified = {
        name: ", ".join(
            f"`{argument}`" for argument in list(inspect.signature(getattr(HookSpecs, name)).parameters)[1:]
        )
        for name in HOOK_NAMES
    }
    assert rows == specified
