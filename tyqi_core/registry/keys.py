"""Who may publish over HTTP: keys with a name. A key is shown once; only its SHA-256 stays on the disk."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tyqi_core.errors import UsageError

FILE: Final = ".keys.json"
"""In the registry's folder; the server gives out no file whose name begins with a dot."""
_FORMAT: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Keys:
    """The keys of one registry, read whenever one is asked for: a new one holds at once, a removed one no longer.

    Args:
        root: the registry's folder.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / FILE

    def new(self, name: str) -> str:
        """Make a key. This is the only moment in which it is known.

        Args:
            name: whose it is; stands beside what is published with it.

        Raises:
            UsageError: the name is no name (``KEY_NAME``) or taken (``KEY_EXISTS``).
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a key.", code="KEY_NAME", remedy="Use letters, digits and . _ @ -")
        known = self._read()
        if name in known:
            raise UsageError(
                f"there is a key named {name}", code="KEY_EXISTS", remedy="Remove it first, or name another."
            )
        key = f"tyqi_{secrets.token_urlsafe(32)}"
        self._write({**known, name: _digest(key)})
        return key

    def remove(self, name: str) -> None:
        """Make a key worthless.

        Raises:
            UsageError: there is none of that name (``KEY_UNKNOWN``).
        """
        known = dict(self._read())
        if known.pop(name, None) is None:
            remedy = f"There are {', '.join(known) or 'none'}."
            raise UsageError(f"there is no key named {name}", code="KEY_UNKNOWN", remedy=remedy)
        self._write(known)

    def holder(self, key: str) -> str | None:
        """The name of a key; ``None`` if it is none. Takes as long whichever it is."""
        digest, found = _digest(key), None
        for name, known in self._read().items():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def __bool__(self) -> bool:
        return bool(self._read())

    def _read(self) -> Mapping[str, str]:
        try:
            body = json.loads(self._path.read_bytes())
            return {str(one["name"]): str(one["sha256"]) for one in body["keys"]}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            remedy = "Mend the file, or delete it and make new keys."
            raise UsageError(f"{self._path} cannot be read: {error!r}", code="KEYS_DAMAGED", remedy=remedy) from error

    def _write(self, keys: Mapping[str, str]) -> None:
        """Whole or not at all, and for the operator's eyes only."""
        body = {"tyqi_keys": _FORMAT, "keys": [{"name": name, "sha256": digest} for name, digest in keys.items()]}
        temporary = self._path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(body, file, indent=2)
            temporary.replace(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UsageError(f"cannot write {self._path}: {error.strerror}", code="KEYS_NOT_WRITTEN") from error


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", errors="surrogatepass")).hexdigest()
