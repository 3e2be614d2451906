#!/usr/bin/env bash
# Before azd packs it: .package, for the Python that runs in Azure (tools/package.py). Usage: prepackage.sh
set -euo pipefail
# shellcheck source=infra/hooks/outputs.sh
. "$(dirname "${BASH_SOURCE[0]}")/outputs.sh"

python "$root/tools/package.py"
