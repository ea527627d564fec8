"""The figures of the README: ``python tests/accuracy.py`` (some minutes). Prints one JSON document."""

from __future__ import annotations

import json
import sys
import time

import conftest
import numpy as np

from tyqi_core.errors import InputError
from tyqi_node_align.offsets import Limits, grey, pair_offset
from tyqi_node_align.registration import Settings, register
from tyqi_node_align.stitching import Settings as StitchSettings
from tyqi_node_align.stitching import stitch

SEEDS = range(10)


def registered(pictures, settings, *, patch=False, **how):
    errors, refused, started = [], 0, time.perf_counter()
    for image in pictures.values():
        for seed in SEEDS:
            seen, reference, true = conftest.view(image, seed, **how)
            if patch:  # the middle ninth is covered
                seen = seen.copy()
                rows, cols = seen.shape[0] // 3, seen.shape[1] // 3
                seen[rows : 2 * rows, cols : 2 * cols] = 40
            try:
                errors.append(conftest.view_error(register(seen, reference, settings).transform, true, seen.shape)[0])
            except InputError:
                refused += 1
    seconds = (time.perf_counter() - started) / (len(errors) + refused)
    return summary(errors, refused, seconds)


def stitched(pictures, **how):
    errors, refused, started = [], 0, time.perf_counter()
    for image in pictures.values():
        for seed in SEEDS:
            taken, true = conftest.strips(image, seed, **how)
            try:
                errors.append(conftest.strips_error(stitch(taken, StitchSettings()).corners, true))
            except InputError:
                refused += 1
    seconds = (time.perf_counter() - started) / (len(errors) + refused)
    return summary(errors, refused, seconds)


def summary(errors, refused, seconds):
    ranked = {"median_px": np.median(errors), "p90_px": np.quantile(errors, 0.9), "largest_px": np.max(errors)}
    off = int(np.sum(np.array(errors) > 1))
    counts = {"cases": len(errors) + refused, "refused": refused, "off_by_more_than_1px": off}
    return {**{key: round(float(value), 3) for key, value in ranked.items()}, **counts, "seconds": round(seconds, 2)}


def accepted(pictures, settings):
    """How many pairs of different pictures are aligned all the same."""
    count = 0
    for name, image in pictures.items():
        for other, reference in pictures.items():
            if name != other:
                try:
                    register(image, reference, settings)
                    count += 1
                except InputError:
                    pass
    return count


def likeness(pictures):
    """Highest correlation of strips that do not overlap: of two pictures, and of the halves of one."""
    between, within = [], []
    for name, image in pictures.items():
        for other, second in pictures.items():
            half = image.shape[1] // 2
            pair = (image[:, :half], image[:, half:]) if name == other else (image, second)
            found = pair_offset(grey(pair[0]), grey(pair[1]), Limits(), subpixel=False)
            (within if name == other else between).append(found.correlation if found else 0.0)
    halves = sorted((round(value, 2) for value in within), reverse=True)
    return {"two_pictures": round(max(between), 2), "halves_of_one": halves[:3]}


def main():
    pictures = {name: conftest.picture(name) for name in conftest.NAMES}
    cases = {
        "orb": registered(pictures, Settings()),
        "sift": registered(pictures, Settings(features="sift")),
        "orb, without refinement": registered(pictures, Settings(refine=False)),
        "sift, without refinement": registered(pictures, Settings(features="sift", refine=False)),
        "orb, a ninth covered": registered(pictures, Settings(), patch=True),
        "orb, noise 20": registered(pictures, Settings(), noise=20),
        "orb, 1.6 times the movement": registered(pictures, Settings(), strength=1.6),
    }
    joined = {
        f"{count} strips, overlap {overlap:.0%}": stitched(pictures, count=count, overlap=overlap)
        for count, overlap in ((2, 0.3), (3, 0.2), (4, 0.5), (3, 0.1), (5, 0.15))
    }
    wrong = {features: accepted(pictures, Settings(features=features)) for features in ("orb", "sift")}
    document = {
        "register": cases,
        "register: different pictures accepted, of 132": wrong,
        "stitch": joined,
        "stitch: correlation of strips that do not overlap": likeness(pictures),
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
