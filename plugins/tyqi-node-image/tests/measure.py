"""The figures of the README: ``python tests/measure.py``. Prints one JSON document."""

from __future__ import annotations

import json
import sys
import time

import conftest
import cv2
import numpy as np

from tyqi_node_image import filters


def psnr(found, true):
    """Peak signal to noise ratio (dB)."""
    return round(float(10 * np.log10(255**2 / np.mean((found.astype(float) - true) ** 2))), 1)


def noisy(image):
    rng = np.random.default_rng(0)
    gauss = np.clip(image + rng.normal(0, 15, image.shape), 0, 255).astype(np.uint8)
    draw, salt = rng.random(image.shape[:2]), image.copy()
    salt[draw < 0.03], salt[draw > 0.97] = 0, 255
    return {"noise of 15 grey levels": gauss, "6% salt and pepper": salt}


def smoothed(image):
    return {
        "before": image,
        "gaussian, sigma 1": filters.gaussian(image, 1),
        "median, radius 1": filters.median(image, 1),
        "bilateral, sigma 2, radius 4, tone 45": filters.bilateral(image, 2, 4, 45),
    }


def seconds(image):
    big = cv2.resize(image, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    calls = {
        "gaussian": lambda: filters.gaussian(big, 1.5),
        "median": lambda: filters.median(big, 2),
        "bilateral": lambda: filters.bilateral(big, 1.5, 2, 30),
        "clahe": lambda: filters.clahe(big, 2, 8),
        "unsharp": lambda: filters.unsharp(big, 1.5, 1),
    }
    taken = {}
    for name, call in calls.items():
        started = time.perf_counter()
        call()
        taken[name] = round(time.perf_counter() - started, 2)
    return taken


def main():
    image = conftest.picture("astronaut.png")
    document = {
        "psnr_db": {
            kind: {name: psnr(out, image) for name, out in smoothed(bad).items()} for kind, bad in noisy(image).items()
        },
        "seconds_for_12_megapixels": seconds(image),
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
