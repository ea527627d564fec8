"""Which uses of other modules need which capability: the four words of a manifest, and what they cover."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Final

from tyqi_core.conformance.sources import UNKNOWN, Use, keyword

CAPABILITIES: Final = ("network", "subprocess", "files", "native")

_MODULES: Final[Mapping[str, str]] = {
    name: capability
    for capability, names in {
        "network": """aiohttp azure boto3 botocore ftplib google.cloud grpc http.client http.server httpx
            huggingface_hub imaplib kafka nntplib paho paramiko poplib pycurl requests smtplib socket socketserver
            telnetlib torch.hub urllib.request urllib3 websocket websockets xmlrpc zmq""",
        "subprocess": "concurrent.futures.ProcessPoolExecutor multiprocessing pexpect pty subprocess",
        "files": "dbm shelve sqlite3 tempfile",
        "native": "_ctypes cffi ctypes torch.utils.cpp_extension",
    }.items()
    for name in names.split()
}
"""Modules of which any use needs a capability."""

_NAMES: Final[Mapping[str, str]] = {
    f"{module}.{name}": capability
    for capability, module, names in (
        ("subprocess", "os", "system popen fork forkpty kill killpg posix_spawn posix_spawnp startfile"),
        ("subprocess", "os", "execl execle execlp execlpe execv execve execvp execvpe"),
        ("subprocess", "os", "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe"),
        ("subprocess", "asyncio", "create_subprocess_exec create_subprocess_shell"),
        ("network", "asyncio", "open_connection start_server"),
        ("network", "logging.handlers", "SocketHandler DatagramHandler SysLogHandler HTTPHandler SMTPHandler"),
        ("files", "os", "chmod chown link makedirs mkdir mkfifo mknod open remove removedirs rename renames replace"),
        ("files", "os", "rmdir symlink truncate unlink utime"),
        (
            "files",
            "shutil",
            "chown copy copy2 copyfile copymode copystat copytree make_archive move rmtree unpack_archive",
        ),
        ("files", "cv2", "VideoWriter imwrite"),
        ("files", "imageio", "imwrite mimsave"),
        ("files", "joblib", "dump"),
        ("files", "logging", "FileHandler"),
        ("files", "numpy", "memmap save savetxt savez savez_compressed"),
        ("files", "safetensors.numpy", "save_file"),
        ("files", "safetensors.torch", "save_file save_model"),
        ("files", "skimage.io", "imsave"),
        ("files", "torch", "save"),
    )
    for name in names.split()
}
"""Single names that need one."""

_WRITERS: Final = frozenset(
    ("write_text", "write_bytes", "unlink", "mkdir", "rmdir", "touch", "symlink_to", "hardlink_to", "imsave", "tofile")
)
"""Methods that write wherever they are found: of a path, mostly."""
_OPENERS: Final = frozenset(
    (
        "builtins.open",
        "io.open",
        "gzip.open",
        "bz2.open",
        "lzma.open",
        "codecs.open",
        "zipfile.ZipFile",
        "tarfile.open",
        "h5py.File",
    )
)
"""Functions whose second argument is a mode."""
_WRITING: Final = frozenset("wxa+")


def of_use(use: Use) -> str:
    """The capability that a use needs; empty if none."""
    if use.name.startswith(f"{UNKNOWN}.") and use.call is not None:
        return _of_method(use.call)
    if use.name in _NAMES:
        return _NAMES[use.name]
    parts = use.name.split(".")
    for length in range(1, len(parts) + 1):
        if (found := _MODULES.get(".".join(parts[:length]))) is not None:
            return found
    return "files" if use.call is not None and _writes(use, use.call) else ""


def _of_method(call: ast.Call) -> str:
    """The capability that a method of an unknown object needs: ``path.write_text(...)``, ``path.open("w")``."""
    if not isinstance(call.func, ast.Attribute):
        return ""
    if call.func.attr in _WRITERS:
        return "files"
    if call.func.attr == "from_pretrained":
        return "network"
    mode = keyword(call, "mode") or (call.args[0] if call.args else None)
    if call.func.attr == "open" and isinstance(mode, ast.Constant) and isinstance(mode.value, str):
        return "files" if set(mode.value) <= set("rwxabt+U") and set(mode.value) & _WRITING else ""
    return ""


def _writes(use: Use, call: ast.Call) -> bool:
    if use.name not in _OPENERS:
        return False
    mode = keyword(call, "mode") or (call.args[1] if len(call.args) > 1 else None)
    if mode is None:
        return False
    return not isinstance(mode, ast.Constant) or bool(set(str(mode.value)) & _WRITING)
