"""A module's source, read but not run: which names of other modules it uses, whatever it calls them.

Comments are not part of what is read here, so no comment can excuse anything.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

BUILTIN: Final = "builtins"
UNKNOWN: Final = "?"
_BUILTINS: Final = "builtins.__builtins__"
IMPORTERS: Final = frozenset(("builtins.__import__", "importlib.import_module", "importlib.__import__"))
_ENCODINGS: Final = frozenset(("utf-8", "utf-8-sig", "ascii", "us-ascii"))


@dataclass(frozen=True, slots=True)
class Use:
    """A name of another module that is used.

    Attributes:
        name: dotted, ``os.system``; of Python's built-in functions ``builtins.eval``; of a method of an object that
            nobody knows ``?.write_text``.
        line: where.
        call: the call, if the name is called there.
        bare: a module is imported and no name of it is told.
    """

    name: str
    line: int
    call: ast.Call | None = None
    bare: bool = False


@dataclass(slots=True)
class Source:
    """A module that could be read."""

    file: str
    tree: ast.Module
    aliases: dict[str, str] = field(default_factory=dict)

    def name_of(self, node: ast.AST | None) -> str:
        """The dotted name that an expression means, as far as imports tell; empty if it is none."""
        match node:
            case ast.Name(id=name):
                return self.aliases.get(name, f"{BUILTIN}.{name}")
            case ast.Attribute(value=value, attr=attribute):
                return _member(self.name_of(value), attribute)
            case ast.Call():
                return self._name_of_call(node)
            case ast.Subscript(value=table, slice=ast.Constant(value=str(key))):
                return self._name_in_table(table, key)
            case _:
                return ""

    def uses(self) -> Iterator[Use]:
        """Everything of other modules that is named, in no certain order."""
        called = {id(node.func): node for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    yield from (Use(name.name, node.lineno, bare=True) for name in names)
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    yield from (Use(f"{module}.{name.name}", node.lineno) for name in names)
                case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                    if name := self.name_of(node):
                        yield Use(name, node.lineno, called.get(id(node)))
                case ast.Subscript(ctx=ast.Load()):
                    if name := self.name_of(node):
                        yield Use(name, node.lineno, called.get(id(node)))
                case ast.Call():
                    yield from self._uses_of_call(node, called.get(id(node)))

    def _uses_of_call(self, node: ast.Call, outer: ast.Call | None) -> Iterator[Use]:
        if name := self._name_of_call(node):
            yield Use(name, node.lineno, outer, bare=self.name_of(node.func) in IMPORTERS)
        if isinstance(node.func, ast.Attribute) and not self.name_of(node.func):
            yield Use(f"{UNKNOWN}.{node.func.attr}", node.lineno, node)

    def _name_in_table(self, table: ast.expr, key: str) -> str:
        """What ``sys.modules["os"]``, ``os.__dict__["system"]`` and ``vars(os)["system"]`` mean."""
        match table:
            case ast.Attribute(value=owner, attr="__dict__"):
                return _member(self.name_of(owner), key)
            case ast.Call(func=function, args=[owner]) if self.name_of(function) == f"{BUILTIN}.vars":
                return _member(self.name_of(owner), key)
            case _:
                name = self.name_of(table)
                return key if name == "sys.modules" else _member(name, key) if name == _BUILTINS else ""

    def _name_of_call(self, node: ast.Call) -> str:
        """What ``getattr(os, "system")``, ``import_module("os")`` and ``__import__("os")`` mean."""
        function = self.name_of(node.func)
        texts = [_text(argument) for argument in node.args]
        if function in IMPORTERS and texts and texts[0]:
            return texts[0]
        if function == "builtins.getattr" and len(texts) > 1 and texts[1]:
            return _member(self.name_of(node.args[0]), texts[1])
        return ""


def read_source(file: str, data: bytes) -> Source:
    """A module's source with what its imports call things.

    Raises:
        ValueError: it is no Python source, or written in an encoding that hides what it says.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if encoding not in _ENCODINGS:
            raise ValueError(f"it is written in the encoding {encoding}, not in UTF-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes: the author's matter
            tree = ast.parse(data, file)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"it is no Python source that can be read: {error}") from error
    source = Source(file, tree)
    source.aliases.update(_aliases(tree))
    _follow(source)
    return source


def constants(node: ast.AST) -> Iterator[str]:
    """All texts that are written within an expression."""
    return (text for part in ast.walk(node) if (text := _text(part)))


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _member(owner: str, attribute: str) -> str:
    """``os`` and ``system``: ``os.system``. What no import named is unknown, but for the built-in names themselves."""
    if not owner or (owner.startswith(f"{BUILTIN}.") and owner != _BUILTINS):
        return ""
    return f"{BUILTIN}.{attribute}" if owner.startswith(BUILTIN) else f"{owner}.{attribute}"


def _aliases(tree: ast.Module) -> Mapping[str, str]:
    """Name -> what an import bound to it, anywhere in the module."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    found[name.asname or name.name.split(".")[0]] = (
                        name.name if name.asname else name.name.split(".")[0]
                    )
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found.update({name.asname or name.name: f"{module}.{name.name}" for name in names})
    return found


def _follow(source: Source) -> None:
    """Names that are given to names: ``run = os.system``. Two rounds find what is passed on once."""
    for _ in range(2):
        for node in ast.walk(source.tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=value) if target not in source.aliases:
                    name = source.name_of(value) if not isinstance(value, ast.Constant) else ""
                    if name and not _is_plain_builtin(name):
                        source.aliases[target] = name


def _is_plain_builtin(name: str) -> bool:
    """A name that no import explains may be a variable of the module: nothing is learnt from it."""
    return name.startswith(f"{BUILTIN}.") and name.partition(".")[2] not in {"eval", "exec", "__import__", "open"}
