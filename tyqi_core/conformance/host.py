"""The packages that belong to the host, not to a node: the core, what its extras bring, what many nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HOST_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "amqp": ("amqp",),
    "billiard": ("billiard",),
    "celery": ("celery",),
    "click": ("click",),
    "jsonschema-rs": ("jsonschema_rs",),
    "kombu": ("kombu",),
    "networkx": ("networkx",),
    "numpy": ("numpy",),
    "opencv-python-headless": ("cv2",),
    "packaging": ("packaging",),
    "pillow": ("PIL",),
    "pip": ("pip",),
    "pluggy": ("pluggy",),
    "pyyaml": ("yaml", "_yaml"),
    "redis": ("redis",),
    "rich": ("rich",),
    "safetensors": ("safetensors",),
    "scikit-image": ("skimage",),
    "scipy": ("scipy",),
    "setuptools": ("setuptools", "pkg_resources", "_distutils_hack"),
    "torch": ("torch", "functorch", "torchgen"),
    "torchaudio": ("torchaudio",),
    "torchvision": ("torchvision",),
    "tyqi-core": ("tyqi_core",),
    "vine": ("vine",),
    "xxhash": ("xxhash",),
}
"""Distribution -> the modules that it brings. A node asks for these by a range, so that many nodes fit one host."""

UNWANTED: Final[Mapping[str, str]] = {
    "cloudpickle": "It reads by unpickling. Keep models as safetensors, values as JSON.",
    "dill": "It reads by unpickling. Keep models as safetensors, values as JSON.",
    "opencv-contrib-python": "It writes over the host's cv2. Depend on opencv-python-headless.",
    "opencv-contrib-python-headless": "It writes over the host's cv2. Depend on opencv-python-headless.",
    "opencv-python": "It writes over the host's cv2 and needs a display. Depend on opencv-python-headless.",
    "pickle5": "It reads by unpickling, and is a part of Python since 3.8.",
    "pil": "It was replaced by pillow.",
    "pytorch": "It is not torch. Depend on torch.",
    "sklearn": "It is an empty package by that name. Depend on scikit-learn.",
    "tensorflow-gpu": "It was withdrawn. Depend on tensorflow.",
    "torchtriton": "It was malware under that name in December 2022. torch brings what it needs.",
}
"""Distributions that no node depends on, and why."""
