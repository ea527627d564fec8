"""Refuses answers of which no good package would come. The generated folder is removed when this script fails.

Only the standard library is at hand: the template is also used by plain cookiecutter, without tyqi-core.
"""

import json
import re
import sys

ANSWERS = json.loads(r'{{ cookiecutter | tojson }}')
PREFIX = "tyqi-node-"
LONGEST_NAME, LONGEST_TITLE, LONGEST_AUTHOR, LONGEST_ADDRESS = 40, 100, 200, 300
SAFE = r"""[^"\\{}<>\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"""


def name_fault(name):
    """What is wrong with the package's name, and what to write instead."""
    if name.startswith(PREFIX):
        return f"it is put behind '{PREFIX}', so leave that out: {name.removeprefix(PREFIX) or 'first-look'}."
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        return "use lower-case letters, digits and single hyphens, a letter first, for example " + (words or "first-look")
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters; use at most {LONGEST_NAME}."
    return ""


def text_fault(text, longest):
    """What is wrong with a text that is written into several files."""
    if not text.strip():
        return "it is empty; write a few words."
    if text != text.strip() or not re.fullmatch(SAFE, text):
        return r'leave out " \ { } < >, line breaks and spaces around it.'
    if len(text) > longest:
        return f"it has {len(text)} characters; use at most {longest}."
    return ""


def address_fault(address):
    """What is wrong with the repository's address."""
    if fault := text_fault(address, LONGEST_ADDRESS):
        return fault
    if not re.fullmatch(r"https?://[!-~]+\.[!-~]+", address) or address.endswith("/"):
        return "write it as https://host/path in ASCII, without a slash at the end."
    return ""


def device_fault(device, torch):
    """A node without torch cannot be told which GPU is meant."""
    if device != "cpu" and not torch:
        return "a node without torch computes on the CPU: answer cpu, or choose torch."
    return ""


def faults(answers):
    """Question -> what is wrong with its answer."""
    wrong_name = name_fault(answers["name"])
    found = {
        "name": wrong_name,
        "title": text_fault(answers["title"], LONGEST_TITLE),
        "device": device_fault(answers["device"], answers["torch"]),
        "author": text_fault(answers["author"], LONGEST_AUTHOR),
        "repository": "" if wrong_name else address_fault(answers["repository"]),  # which mostly holds the name
    }
    return {question: fault for question, fault in found.items() if fault}


if __name__ == "__main__":
    wrong = faults(ANSWERS)
    for question, fault in wrong.items():
        print(f"{question} {ANSWERS[question]!r} cannot be used: {fault}", file=sys.stderr)
    sys.exit(1 if wrong else 0)
