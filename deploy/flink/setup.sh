#!/usr/bin/env bash
# Puts Flink and Beam's job server for it into a folder: setup.sh [TARGET_DIR], by default .native/flink of this checkout.
#
#   flink/       Flink's own jars (1.19.3, from the package named in requirements.lock)
#   job-server/  Beam's job server and what it depends on (pom.xml; every file's digest stands in jars.sha256), joined into one jar (join.py)
#
# Run again it does nothing, also without a network, until one of these files changes. Nothing outside the folder is written but Maven's own
# cache, and no root is needed. It needs Java 11 or 17, Maven, and Python with pip. It exits with 1 and says why when it can't.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${1:-$here/../../.native/flink}

say() { printf 'flink: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v sha256sum >/dev/null || die "sha256sum is missing: install coreutils"
stamp=$(cat "$here"/{requirements.lock,pom.xml,jars.sha256,join.py,setup.sh} | sha256sum | cut -d' ' -f1)
if [[ $(cat "$target/.stamp" 2>/dev/null) == "$stamp" ]]; then
	exit 0
fi
# A folder that this script didn't make is someone's own: never replaced.
if [[ -d $target && ! -e $target/.stamp && -n $(ls -A "$target") ]]; then
	die "$target is neither empty nor made by this script: name another folder"
fi
command -v java >/dev/null || die "Java is missing: install a JRE of version 11 or 17"
command -v mvn >/dev/null || die "Maven is missing: install it (only to fetch files)"
command -v python3 >/dev/null || die "python3 is missing: install it (only to fetch files)"

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.flink.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "fetching Beam's job server (150 MB)"
mvn --quiet --batch-mode -f "$here/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies -DoutputDirectory="$work/jars" >&2 ||
	die "could not be fetched: see Maven's message above (is there a network?)"
(cd "$work/jars" && sha256sum --quiet --check "$here/jars.sha256") || die "a fetched file is not the one that jars.sha256 names"
mkdir -p "$work/out/job-server"
python3 "$here/join.py" "$work/out/job-server/job-server.jar" "$work"/jars/*.jar || die "the jars could not be joined"

say "fetching Flink (230 MB)"
# An environment of its own: pip asks the package for its metadata, and a machine's pip may refuse to install what that needs.
python3 -m venv "$work/python" && "$work/python/bin/pip" install --quiet --disable-pip-version-check setuptools==80.9.0 >&2 ||
	die "no Python environment: install python3-venv"
"$work/python/bin/pip" download --quiet --no-cache-dir --disable-pip-version-check --no-deps --no-binary=:all: --no-build-isolation \
	--require-hashes --requirement "$here/requirements.lock" --dest "$work/package" >&2 ||
	die "could not be fetched: see pip's message above (is there a network?)"
mkdir -p "$work/out/flink"
tar -xzf "$work"/package/*.tar.gz -C "$work" --wildcards '*/deps/lib/flink-dist-*.jar' '*/deps/lib/log4j-*.jar' '*/deps/bin/bash-java-utils.jar' '*/LICENSE' '*/NOTICE'
mv "$work"/apache-flink-libraries-*/{deps/lib/*.jar,deps/bin/*.jar,LICENSE,NOTICE} "$work/out/flink/"

echo "$stamp" >"$work/out/.stamp"
rm -rf "$target"
mv "$work/out" "$target"
say "ready in $target"
