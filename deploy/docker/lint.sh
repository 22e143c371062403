#!/usr/bin/env bash
# Lints the Dockerfile by hadolint, which pip fetches once into .native/hadolint of this checkout (lint.lock has its digest).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/../../.native/hadolint
stamp=$(sha256sum "$here/lint.lock" | cut -d' ' -f1)
if [[ $(cat "$venv/.stamp" 2>/dev/null) != "$stamp" ]]; then
	command -v python3 >/dev/null || { echo "docker: no python3: the Dockerfile is not linted" >&2; exit 0; }
	rm -rf "$venv"
	if python3 -m venv "$venv" && "$venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r "$here/lint.lock"; then
		echo "$stamp" >"$venv/.stamp"
	else
		rm -rf "$venv"
		echo "docker: hadolint could not be fetched: the Dockerfile is not linted" >&2
		exit 0
	fi
fi
"$venv/bin/hadolint" "$here/Dockerfile"
