"""The child process of ``trials.py``: tries nodes, and tells of each trial when it begins and what came of it.

Called as ``python -m tyqi_core.conformance.running_child MODULES``, with the trials on standard input: a JSON list of
``[check, node]``. It writes one JSON document a line: ``{"begin": [check, node]}``, ``{"case": "..."}``,
``{"end": [check, node], "report": {...}, "seen": [...]}``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tyqi_core.catalog.catalog import Catalog
from tyqi_core.conformance.auditing import Audit
from tyqi_core.conformance.bench import Bench
from tyqi_core.conformance.checks import NotApplicable, Warned
from tyqi_core.conformance.contract_trials import TRIALS as CONTRACT
from tyqi_core.conformance.evidence import Finding
from tyqi_core.conformance.probing_child import own_places, private_output, tell
from tyqi_core.conformance.runtime_trials import TRIALS as RUNTIME

TRIALS = {**CONTRACT, **RUNTIME}


def main() -> None:
    """Do what standard input asks for."""
    own = own_places(sys.argv[1].split(","))
    asked = json.load(sys.stdin)
    answers = private_output()
    logging.disable(logging.CRITICAL)  # the runtime's words about failures that are meant
    audit, catalog, benches = Audit(own, Path(tempfile.gettempdir())), Catalog.load(cache=False), {}
    with audit.watching():
        for check, node in asked:
            tell(answers, {"begin": [check, node]})
            if node not in benches:
                benches[node] = Bench(catalog, catalog.find(node), own, lambda case: tell(answers, {"case": case}))
            report = _report(check, benches[node])
            seen = [one.to_json() for one in audit.taken()]
            tell(answers, {"end": [check, node], "report": report, "seen": seen})
        for bench in benches.values():
            bench.instances.close()
    os._exit(0)  # threads that were given up, and exit handlers of the plugin, are none of our business


def _report(check: str, bench: Bench) -> Mapping[str, Any]:
    findings: list[Finding] = []
    warnings: list[Finding] = []
    measured: dict[str, float] = {}
    skipped = ""
    try:
        for told in TRIALS[check](bench):
            if isinstance(told, Warned):
                warnings.append(told.finding)
            elif isinstance(told, Finding):
                findings.append(told)
            else:
                measured[told[0]] = told[1]
    except NotApplicable as reason:
        skipped = str(reason)
    except Exception as error:  # noqa: BLE001 - a trial that breaks off has proved nothing
        findings.append(Finding(f"the trial broke off: {type(error).__name__}: {error}"[:1000]))
    told_of = {"findings": list(map(asdict, findings)), "warnings": list(map(asdict, warnings))}
    return {**told_of, "measured": measured, "skipped": skipped}


if __name__ == "__main__":
    main()
