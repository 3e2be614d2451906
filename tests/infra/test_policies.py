"""checkov's policies for Bicep, and the suppressions with their reasons.

checkov pins many libraries, an older pycep-parser among them, so it lives in an environment of its own:
`make tools`, or name another by CHECKOV.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.infra.bicep import FILES, INFRA, ROOT, source


@cache
def report() -> dict[str, Any]:
    own = ROOT / ".tools" / "checkov" / "bin" / "checkov"
    checkov = os.environ.get("CHECKOV") or (str(own) if own.exists() else shutil.which("checkov"))
    if not checkov:
        pytest.skip("checkov is not installed: " + str(__doc__).split(":\n")[-1].strip())
    done = subprocess.run(
        [checkov, "-d", str(INFRA), "--framework", "bicep", "--output", "json", "--compact", "--skip-download"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # It is not to send anything anywhere.
        env={**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR", "CKV_ENABLE_UPLOAD_FAILED": "FALSE"},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def suppressions() -> set[tuple[str, str, str]]:
    """File, policy and reason of each."""
    return {
        (file, *found) for file in FILES for found in re.findall(r"(?m)^\s*//checkov:skip=(\w+):(.*)$", source(file))
    }


def test_no_policy_fails() -> None:
    failed = [
        (check["check_id"], check["file_path"], check["resource"]) for check in report()["results"]["failed_checks"]
    ]
    assert failed == []
    assert report()["summary"]["passed"] > 30


def test_checkov_reads_every_file_with_a_resource_that_it_has_policies_for() -> None:
    """Its parser does not know typed arrays, lambdas, extensions. main.bicep has a resource group and modules alone."""
    unread = {Path(path).relative_to(INFRA).as_posix() for path in report()["results"]["parsing_errors"]}
    assert unread == {"main.bicep", "graph-roles/main.bicep"}


def test_every_suppression_has_a_reason_and_is_needed() -> None:
    assert [found for found in suppressions() if len(found[2].strip()) < 20] == []
    skipped = {
        (check["check_id"], Path(check["file_abs_path"]).relative_to(INFRA).as_posix())
        for check in report()["results"]["skipped_checks"]
    }
    assert {(policy, file) for file, policy, _ in suppressions()} == skipped
