"""S01, S02 (by reading) and S04: what the code of the wheel uses, found without running it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from typing import Final

from tyqi_core.conformance import capabilities
from tyqi_core.conformance.checks import Warned, check
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.sources import BUILTIN, IMPORTERS, UNKNOWN, Source, Use, constants, keyword
from tyqi_core.conformance.subject import Examined

LONGEST_LITERAL: Final = 2000
"""Characters of a text without a space that may stand in a source; longer ones are data that belongs into a file."""
_HIDDEN: Final = (".pyc", ".pyo", ".pyz", ".egg", ".whl", ".pkl", ".pickle", ".joblib", ".dill")


@check(
    "S01",
    "static",
    "bronze",
    title="No evaluated text, no unpickling, no installing at run time, nothing hidden",
    reason="Each of these runs what nobody has read. That is how malware reached other registries, and a file that is"
    " unpickled can do whatever its maker likes. Inline suppressions do not count.",
    remedy="Write the code out; keep models as safetensors and values as JSON; list dependencies in pyproject.toml.",
)
def code_is_plain(wheel: Examined) -> Iterator[Finding | Warned]:
    """All Python sources, and members that hold code in another form."""
    for name in wheel.files:
        if name.lower().endswith(_HIDDEN):
            yield Finding("It holds code or objects in a form that cannot be read.", name)
    for file, source in wheel.sources:
        if isinstance(source, str):
            yield Finding(f"The source cannot be checked: {source}.", file)
            continue
        refused = {(use.line, message) for use in source.uses() if (message := _refused(source, use)) is not None}
        yield from (Finding(message, file, line) for line, message in sorted(refused))
        yield from _literals(source)
        yield from _built_imports(source, wheel.package)


@check(
    "S02",
    "static",
    "bronze",
    title="What the code uses (network, processes, files, native code) is declared",
    reason="Who installs a node sees beforehand what it may do, and is told when a new version does more.",
    remedy="Declare it in the manifest, capabilities: [network, subprocess, files, native], or do without it.",
)
def uses_are_declared(wheel: Examined) -> Iterator[Finding]:
    """By reading the code; what only shows when it runs is found by an audit hook in the other half of this check."""
    for name in wheel.native_files:
        if "native" not in wheel.capabilities:
            yield Finding("The wheel brings native code and no manifest declares it.", name)
    for file, source in wheel.sources:
        told: set[str] = set()
        for use in [] if isinstance(source, str) else sorted(source.uses(), key=lambda one: one.line):
            capability = capabilities.of_use(use)
            if capability and capability not in wheel.capabilities | told:
                told.add(capability)
                yield Finding(f"It uses {use.name} ({capability}) and no manifest declares it.", file, use.line)


@check(
    "S04",
    "static",
    "bronze",
    title="Nothing is replaced in modules that are not its own",
    reason="All nodes of a worker share one Python: a patched json or torch changes what the others compute.",
    remedy="Wrap what you need in a function of your own.",
)
def others_are_left_alone(wheel: Examined) -> Iterator[Finding | Warned]:
    """Assignments to names of other modules: of Python and the core they are faults, else warnings."""
    for file, source in wheel.sources:
        for name, line in [] if isinstance(source, str) else _patched(source, wheel.package):
            finding = Finding(f"It assigns to {name}.", file, line)
            grave = name.split(".")[0] in {*sys.stdlib_module_names, *_SHARED} and name != "os.environ"
            yield finding if grave else Warned(finding)


_TABLES: Final = ("sys.modules", "os.environ")
_SHARED: Final = ("tyqi_core", "celery", "kombu", "redis", "numpy", "yaml")
_EVALUATED: Final = {
    "builtins.eval": "It evaluates text as code (eval).",
    "builtins.exec": "It executes text as code (exec).",
    "code.InteractiveInterpreter": "It executes text as code.",
    "types.CodeType": "It makes code of bytes.",
    "types.FunctionType": "It makes a function of a code object.",
    "runpy.run_path": "It runs a file as code.",
    "imp.load_source": "It runs a file as code.",
    "importlib.machinery.SourceFileLoader": "It runs a file as code.",
    "importlib.util.spec_from_file_location": "It imports a file by its path.",
    "torch.hub.load": "It downloads code and runs it.",
    "ctypes.pythonapi": "It reaches into the interpreter.",
}
_UNPICKLED: Final = frozenset(
    (
        *(
            f"{module}.{name}"
            for module in ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal")
            for name in ("load", "loads", "Unpickler")
        ),
        "joblib.load",
        "jsonpickle.decode",
        "pandas.read_pickle",
        "shelve.open",
        "yaml.unsafe_load",
        "yaml.unsafe_load_all",
        "yaml.full_load",
        "yaml.UnsafeLoader",
        "yaml.Loader",
        "yaml.FullLoader",
    )
)
_INSTALLERS: Final = ("pip", "ensurepip", "easy_install", "setuptools.command.easy_install")
_SENSITIVE: Final = frozenset(
    ("os", "sys", "subprocess", "pickle", "marshal", "socket", "ctypes", "importlib", "builtins")
)
_DECODERS: Final = frozenset(
    f"{module}.{name}"
    for module, names in {
        "base64": ("b64decode", "b32decode", "b16decode", "b85decode", "a85decode", "decodebytes", "urlsafe_b64decode"),
        "zlib": ("decompress",),
        "bz2": ("decompress",),
        "lzma": ("decompress",),
        "gzip": ("decompress",),
        "codecs": ("decode",),
        "binascii": ("unhexlify", "a2b_base64"),
    }.items()
    for name in names
)


def _refused(source: Source, use: Use) -> str | None:
    """Why a use is refused; ``None`` for one that is not."""
    for judge in _JUDGES:
        if (message := judge(source, use)) is not None:
            return message
    return None


def _evaluates(_: Source, use: Use) -> str | None:
    if use.name.startswith("types.") and use.call is None:
        return None  # isinstance(value, types.FunctionType) makes nothing
    return _EVALUATED.get(use.name)


def _unpickles(source: Source, use: Use) -> str | None:
    if use.name in _UNPICKLED:
        return f"It unpickles ({use.name})."
    if use.call is None:
        return None
    if use.name == "numpy.load" and not _is_constant(keyword(use.call, "allow_pickle"), False, absent=True):
        return "It unpickles (numpy.load with allow_pickle)."
    if use.name == "torch.load" and not _is_constant(keyword(use.call, "weights_only"), True, absent=False):
        return "It unpickles (torch.load without weights_only=True)."
    if use.name in {"yaml.load", "yaml.load_all"} and not _loads_safely(source, use.call):
        return f"It makes objects of what a file names ({use.name} without a safe loader)."
    return None


def _installs(_: Source, use: Use) -> str | None:
    if use.name in _INSTALLERS or use.name.startswith(tuple(f"{name}." for name in _INSTALLERS)):
        return f"It installs packages at run time ({use.name})."
    if use.call is None or capabilities.of_use(use) != "subprocess":
        return None
    words = " ".join(constants(use.call)).split()
    if "install" in words and {"pip", "pip3", "uv", "conda", "mamba", "easy_install"} & set(words):
        return f"It installs packages at run time ({use.name})."
    return None


def _trusts_remote_code(_: Source, use: Use) -> str | None:
    if use.call is None or _is_constant(keyword(use.call, "trust_remote_code"), False, absent=True):
        return None
    return f"It runs code that is downloaded ({use.name} with trust_remote_code)."


def _hides(source: Source, use: Use) -> str | None:
    """Names that are put together when the code runs, and data that is unpacked twice."""
    module, _, name = use.name.rpartition(".")
    if use.name == f"{UNKNOWN}.__subclasses__":
        return "It looks for classes that no import names (__subclasses__)."
    if name == "*" and module in _SENSITIVE:
        return f"'from {module} import *' hides what of it is used."
    if use.call is None:
        return None
    arguments = use.call.args
    if use.name == "builtins.getattr" and len(arguments) > 1 and not isinstance(arguments[1], ast.Constant):
        owner = source.name_of(arguments[0]).removeprefix(f"{BUILTIN}.").strip("_")
        return f"A name of '{owner}' is put together at run time." if owner in _SENSITIVE else None
    if use.name in _DECODERS and arguments and _decodes(source, arguments[0]):
        return f"It unpacks what it has unpacked before ({use.name}): hidden data."
    return None


def _decodes(source: Source, node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) and source.name_of(part.func) in _DECODERS for part in ast.walk(node))


_JUDGES: Final[tuple[Callable[[Source, Use], str | None], ...]] = (
    _evaluates,
    _unpickles,
    _installs,
    _trusts_remote_code,
    _hides,
)


def _literals(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) > LONGEST_LITERAL:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if re.search(rf"[^\s]{{{LONGEST_LITERAL}}}", text):
                message = f"A text of {len(text)} characters without a space hides what it holds."
                yield Finding(message, source.file, node.lineno, "Ship data as a file of the package.")


def _built_imports(source: Source, package: str) -> Iterator[Warned]:
    """Imports of modules whose names are not written out; those of the package's own are its own matter."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(args=[first, *_]) if source.name_of(node.func) in IMPORTERS and not isinstance(
                first, ast.Constant
            ):
                if not next(constants(first), "").startswith((f"{package}.", ".")):
                    yield Warned(Finding("It imports a module whose name is put together.", source.file, node.lineno))


def _loads_safely(source: Source, call: ast.Call) -> bool:
    loader = keyword(call, "Loader") or (call.args[1] if len(call.args) > 1 else None)
    return source.name_of(loader) in {"yaml.SafeLoader", "yaml.CSafeLoader", "yaml.BaseLoader", "yaml.CBaseLoader"}


def _is_constant(node: ast.expr | None, value: bool, *, absent: bool) -> bool:
    return absent if node is None else isinstance(node, ast.Constant) and node.value is value


def _patched(source: Source, package: str) -> Iterator[tuple[str, int]]:
    """Names of other modules that are assigned to, with their lines."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                name = source.name_of(node)
            case ast.Call(func=function, args=[owner, ast.Constant(value=str(attribute)), *_]) if source.name_of(
                function
            ) in {"builtins.setattr", "builtins.delattr"}:
                base = source.name_of(owner)
                name = f"{base}.{attribute}" if base and not base.startswith(f"{BUILTIN}.") else ""
            case ast.Subscript(value=ast.Attribute(value=owner, attr="__dict__"), ctx=ast.Store()):
                name = f"{source.name_of(owner)}.__dict__".lstrip(".")
            case ast.Subscript(value=value, ctx=ast.Store()) if source.name_of(value) in _TABLES:
                name = source.name_of(value)
            case _:
                continue
        if name and not name.startswith((f"{BUILTIN}.", f"{package}.")) and "." in name:
            yield name, node.lineno
