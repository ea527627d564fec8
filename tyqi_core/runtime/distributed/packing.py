"""The arithmetic of a plan of queues: groups of similar length, balanced shares, memory on devices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Bin = TypeVar("Bin", bound=Hashable)


def bands(items: Sequence[Item], length: Callable[[Item], float], ratio: float) -> list[list[Item]]:
    """Items in order of length, cut so that within a band none is more than ``ratio`` times as long as another."""
    found: list[list[Item]] = []
    for item in sorted(items, key=length):
        if found and length(item) <= ratio * length(found[-1][0]):
            found[-1].append(item)
        else:
            found.append([item])
    return found


def balanced(items: Sequence[Item], load: Callable[[Item], float], shares: int) -> list[list[Item]]:
    """Items spread over at most ``shares`` shares of about equal load: the heaviest first, each where least is yet."""
    found: list[list[Item]] = [[] for _ in range(max(1, min(shares, len(items))))]
    loads = [0.0] * len(found)
    for item in sorted(items, key=load, reverse=True):
        least = loads.index(min(loads))
        found[least].append(item)
        loads[least] += load(item)
    return [share for share in found if share]


def first_fit(
    items: Sequence[Item], size: Callable[[Item], float], bins: Mapping[Bin, float]
) -> tuple[dict[Bin, list[Item]], list[Item]]:
    """Items, the largest first, each in the first bin that has room; second, those that fit in none."""
    found: dict[Bin, list[Item]] = {name: [] for name in bins}
    left = dict(bins)
    homeless: list[Item] = []
    for item in sorted(items, key=size, reverse=True):
        home = next((name for name, room in left.items() if size(item) <= room), None)
        if home is None:
            homeless.append(item)
        else:
            found[home].append(item)
            left[home] -= size(item)
    return found, homeless


def copies(
    packed: Mapping[Bin, Sequence[Item]],
    bins: Mapping[Bin, float],
    size: Callable[[Item], float],
    load: Callable[[Item], float],
) -> dict[Bin, Bin]:
    """Which full bin each empty one doubles: the one with the most load for each of its copies, if its items fit."""
    served = {name: 1 for name, items in packed.items() if items}
    found: dict[Bin, Bin] = {}
    for spare in [name for name, items in packed.items() if not items]:
        fitting = [name for name in served if sum(map(size, packed[name])) <= bins[spare]]
        if fitting:
            found[spare] = max(fitting, key=lambda name: sum(map(load, packed[name])) / served[name])
            served[found[spare]] += 1
    return found
