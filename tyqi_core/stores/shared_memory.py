"""Large payloads in memory that the processes of one host share: files that are mapped, so that reading copies nothing.

Redis keeps the payload's key with its count of references and a note where the bytes lie, so the scripts need to know
next to nothing of it. It is no durable place: bytes that are lost (a reboot) are told as ``PAYLOAD_MISSING``.
"""

from __future__ import annotations

import os
import re
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from tyqi_core.errors import InputError
from tyqi_core.failpoints import hit
from tyqi_core.stores.checksums import checksum
from tyqi_core.stores.payloads import STAGED_MS, Fields, Raw, RedisPayloads, Spot, Staged, gone
from tyqi_core.stores.redis_scripts import Scripts, translated

if TYPE_CHECKING:
    import redis

    from tyqi_core.stores.mapped_files import Bytes, Folder, NewFile

_K = TypeVar("_K")
_V = TypeVar("_V")

MOUNT: Final = Path("/dev/shm")  # noqa: S108  (the system's mount; the folder in it is the user's alone)
ABANDONED_S: Final = 86_400.0
"""When the folder of another store is removed that no process has open."""
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1")
_REMEMBERED: Final = 4096
_MOST_MAPPED: Final = 100
"""Files read at once in a process: each takes two descriptors. Beyond that a value is copied."""
_AT_ONCE: Final = 100
_LONGEST_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """How the tier behaves.

    Attributes:
        mount: where the memory is mounted.
        limit_bytes: how much all files of a store may take together; by default a quarter of the mount.
        smallest_bytes: values below that lie in Redis.
        patience_s: how long to wait for a value that lies on another host.
    """

    mount: Path = MOUNT
    limit_bytes: int | None = None
    smallest_bytes: int = 65_536
    patience_s: float = 10.0

    def limit(self) -> int:
        """The limit in force."""
        if self.limit_bytes is not None:
            return self.limit_bytes
        found = os.statvfs(self.mount)
        return found.f_blocks * found.f_frsize // 4


@dataclass(frozen=True, slots=True)
class Shards:
    """What the tier knows of the store.

    Attributes:
        namespace: of its keys.
        prefixes: what the keys of each shard begin with.
        life_ms: how long any payload may live.
    """

    namespace: str
    prefixes: Sequence[str]
    life_ms: int


def chosen(wish: SharedMemory | bool | None, url: str) -> SharedMemory | None:
    """The tier for a server: by default used if this system has it and the server is on this host."""
    settings = wish if isinstance(wish, SharedMemory) else SharedMemory()
    if wish is False or sys.platform != "linux" or not settings.mount.is_dir():
        return None
    return settings if wish is not None or _is_here(url) else None


def _is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "unix" or bool(_LOOPBACK.fullmatch(parts.hostname or "localhost"))


class SharedMemoryPayloads(RedisPayloads):
    """Large payloads in shared memory, the others, and those for which there is no room, in Redis.

    Args:
        client: of the server.
        scripts: of the server.
        shards: the store's keys.
        settings: how the tier behaves.
    """

    def __init__(self, client: redis.Redis, scripts: Scripts, shards: Shards, settings: SharedMemory) -> None:
        super().__init__(client, settings.patience_s)
        self._scripts = scripts
        self._shards = shards
        self._settings = settings
        self._limit = settings.limit()
        self._opened: tuple[str, Folder] | None = None
        self._entering = Lock()
        self._usable = True
        self._mapped: WeakValueDictionary[str, Bytes] = WeakValueDictionary()
        self._verified: OrderedDict[Spot, None] = OrderedDict()
        self._written: OrderedDict[str, dict[str, Spot]] = OrderedDict()

    def close(self) -> None:
        """Leave the folder."""
        with self._entering:
            opened, self._opened = self._opened, None
        if opened:
            opened[1].close()

    # -- the folder --------------------------------------------------------------------------------------------------

    def _folder(self) -> Folder | None:
        """The store's folder; ``None``: there is none to be had here."""
        with self._entering:
            if self._opened is None and self._usable:
                self._enter(self._instance(os.urandom(12).hex()))
            return self._opened[1] if self._opened else None

    def _instance(self, offer: str) -> str:
        """The random name of this store, which lives as long as any payload of it; ``offer`` if it has none yet."""
        key = f"{self._shards.prefixes[0]}instance"
        with translated():
            pipeline = self._client.pipeline()
            pipeline.set(key, offer, nx=True)
            pipeline.pexpire(key, self._shards.life_ms + STAGED_MS)
            pipeline.get(key)
            found: bytes = pipeline.execute()[-1]
        return found.decode()

    def _enter(self, instance: str) -> None:
        from tyqi_core.stores.mapped_files import open_folder  # noqa: PLC0415  (Linux only)

        try:
            self._opened = instance, open_folder(self._path(instance), self._limit)
        except OSError:
            self._usable = False  # full, or not ours: all goes to Redis

    def _path(self, instance: str) -> Path:
        return self._settings.mount / re.sub(r"[^A-Za-z0-9_-]", "_", f"tyqi-{self._shards.namespace}-{instance}")

    def _still(self) -> bool:
        """Whether the store still has the name that it had when the folder was opened; else it was emptied since."""
        opened = self._opened
        if opened is None or self._instance(opened[0]) == opened[0]:
            return True
        self.close()
        return False

    # -- writing -----------------------------------------------------------------------------------------------------

    def _write(self, prefix: str, payload: str, fields: Fields) -> None:
        sizes = {name: sum(map(len, pieces)) for name, pieces in fields.items()}
        large = {name: size for name, size in sizes.items() if size >= self._settings.smallest_bytes}
        if not (large and self._shared(prefix, payload, fields, large)):
            super()._write(prefix, payload, fields)

    def _shared(self, prefix: str, payload: str, fields: Fields, large: dict[str, int]) -> bool:
        folder = self._folder()
        offsets, size = _laid_out(large)
        file = self._file(folder, payload, size) if folder else None
        if folder is None or file is None:
            return False
        with file:
            spots = {
                name: Spot(folder.host, file.name, name, offset, large[name], file.write(fields[name], offset))
                for name, offset in offsets.items()
            }
            hit("CP7")
            file.publish()
            notes: Fields = {name: (spot.note(),) for name, spot in spots.items()}
            self._put(f"{prefix}p:{payload}", {**fields, **notes}, {"h": folder.host, "f": file.name})
        if not self._still():
            return False
        _remember(self._written, payload, spots)
        for spot in spots.values():
            _remember(self._verified, spot, None)
        return True

    def _file(self, folder: Folder, payload: str, size: int) -> NewFile | None:
        try:
            file = folder.reuse(payload, size)
            if file is None and self._collect(folder):
                file = folder.reuse(payload, size)
            return file or folder.create(payload, size)
        except OSError:  # no descriptors, no inodes, a folder removed by hand: Redis takes it
            return None

    def drop(self, prefix: str, packing: Staged) -> None:
        """Remove what no call took over, and its files."""
        super().drop(prefix, packing)
        opened = self._opened
        if opened is None:
            return
        for payload in packing.payloads:
            for name in {spot.file for spot in self._written.pop(payload, {}).values()}:
                opened[1].recycle(name)

    # -- reading -----------------------------------------------------------------------------------------------------

    def fetch(self, prefix: str, payload: str, fields: Sequence[str]) -> list[Raw | None]:
        """Fields of a payload; what this process wrote is found without asking Redis."""
        known, opened = self._written.get(payload), self._opened
        if known and opened and all(field in known for field in fields):
            found: list[Raw | None] = [self._local(opened[1], known[field]) for field in fields]
            if None not in found:
                return found
        return super().fetch(prefix, payload, fields)

    def _at(self, prefix: str, spot: Spot) -> Raw:
        folder = self._folder()
        if folder and folder.host != spot.host and not self._still():
            folder = self._folder()
        if folder is None or folder.host != spot.host:
            return super()._at(prefix, spot)
        found = self._local(folder, spot)
        if found is None:
            raise gone(spot.payload, "it is not in this host's shared memory any more")
        return found

    def _local(self, folder: Folder, spot: Spot) -> Raw | None:
        """The bytes, a view of the mapped file; ``None``: there is no such file."""
        fresh = spot not in self._verified
        part = self._part(folder, spot)
        if part is None:
            return None
        if len(part) != spot.length:
            raise _damaged(spot)
        if fresh and checksum([part]) != spot.checksum:
            raise _damaged(spot)
        _remember(self._verified, spot, None)
        return part

    def _part(self, folder: Folder, spot: Spot) -> Raw | None:
        mapping = self._mapped.get(spot.file)
        if mapping is None:
            if len(self._mapped) >= _MOST_MAPPED:
                return folder.read(spot.file, spot.offset, spot.length)
            mapping = folder.map(spot.file)
            if mapping is None:
                return None
            self._mapped[spot.file] = mapping
        return mapping.data[spot.offset : spot.offset + spot.length]

    # -- for others --------------------------------------------------------------------------------------------------

    def serve_requests(self, wait_s: float = 0.0) -> int:
        """Give other hosts what they asked this one for; see :class:`~tyqi_core.stores.payloads.PayloadPlane`."""
        folder = self._folder()
        if folder is None:
            return 0
        served = 0
        for prefix, request in self._requests(folder, wait_s):
            payload, field = request.decode().split(" ")
            served += self._supply(folder, prefix, payload, field)
        return served

    def _requests(self, folder: Folder, wait_s: float) -> list[tuple[str, bytes]]:
        keys = {f"{prefix}wanted:{folder.host}": prefix for prefix in self._shards.prefixes}
        found = []
        with translated():
            if wait_s > 0:
                first = self._client.blpop(list(keys), timeout=min(wait_s, _LONGEST_WAIT_S))
                if first is None:
                    return []
                found.append((keys[first[0].decode()], first[1]))
            for key, prefix in keys.items():
                found += [(prefix, request) for request in self._client.lpop(key, _AT_ONCE) or ()]
        return found

    def _supply(self, folder: Folder, prefix: str, payload: str, field: str) -> bool:
        key = f"{prefix}p:{payload}"
        with translated():
            note = self._client.hget(key, field)
        if note is None or note[:1] != b">" or (spot := Spot.of(note)).host != folder.host:
            return False
        part = self._local(folder, spot)
        if part is None:
            return False
        return bool(self._scripts.call("supply", key, (prefix, "", "", payload, field, memoryview(part))))

    # -- cleaning up -------------------------------------------------------------------------------------------------

    def _collect(self, folder: Folder, most: int = _AT_ONCE) -> int:
        """Recycle files whose last reference is gone."""
        done = 0
        for prefix in self._shards.prefixes:
            with translated():
                names = self._client.lpop(f"{prefix}freed:{folder.host}", most) or ()
            done += sum(folder.recycle(name.decode()) for name in names)
        return done

    def sweep(self, idle_s: float = 60.0) -> int:
        """Remove what nobody needs, and what crashes left; see :class:`~tyqi_core.stores.payloads.PayloadPlane`.

        A recycled file that was not used again for ``idle_s`` is given back to the system.
        """
        done = self._remove_abandoned()
        folder = self._folder()
        if folder is None:
            return done
        while freed := self._collect(folder):
            done += freed
        return done + self._remove_unknown(folder) + folder.sweep(idle_s)

    def _remove_unknown(self, folder: Folder) -> int:
        """Files of payloads that are not in Redis: of writers that died, of runs whose keys expired."""
        unknown = [name for name in folder.payloads() if not self._is_known(name)]
        # Asked again under the lock: its writer may have been about to tell of it.
        return sum(folder.remove_if(name, lambda name=name: not self._is_known(name)) for name in unknown)  # type: ignore[misc]

    def _is_known(self, name: str) -> bool:
        payload = name.partition(".")[0]
        with translated():
            pipeline = self._client.pipeline(transaction=False)
            for prefix in self._shards.prefixes:
                pipeline.exists(f"{prefix}p:{payload}")
            return any(pipeline.execute())

    def _remove_abandoned(self) -> int:
        from tyqi_core.stores.mapped_files import remove_unused  # noqa: PLC0415  (Linux only)

        mine = self._opened and self._path(self._opened[0])
        others = [path for path in self._settings.mount.glob("tyqi-*") if path != mine]
        return sum(remove_unused(path, older_than_s=ABANDONED_S) for path in others)


def _laid_out(sizes: dict[str, int]) -> tuple[dict[str, int], int]:
    """Where each value begins, and where all end: an array begins behind a letter, and is to be aligned."""
    from tyqi_core.stores.mapped_files import ALIGNMENT  # noqa: PLC0415  (Linux only)

    offsets, end = {}, 0
    for name, size in sizes.items():
        offsets[name] = -(-(end + 1) // ALIGNMENT) * ALIGNMENT - 1
        end = offsets[name] + size
    return offsets, end


def _remember(known: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    known[key] = value
    known.move_to_end(key)
    while len(known) > _REMEMBERED:
        known.popitem(last=False)


def _damaged(spot: Spot) -> InputError:
    return InputError(f"payload {spot.payload} is damaged in this host's shared memory", code="PAYLOAD_DAMAGED")
