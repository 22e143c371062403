#!/usr/bin/env bash
# Puts NiiVue, which draws volumes in three dimensions on the pages of 'cspine view', into a folder: setup-niivue.sh [TARGET_DIR], by default
# .native/niivue of this checkout.
#
# The archive named in niivue.lock is fetched by npm and compared with its digest; one file of it and its licence are kept, and nothing of it is
# installed or run here. Run again it does nothing, also without a network, until the lock changes. It exits with 1 and says why when it can't.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${1:-$here/../.native/niivue}
lock=$here/niivue.lock
say() { printf 'niivue: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v sha256sum >/dev/null || die "sha256sum is missing: install coreutils"
stamp=$(cat "$lock" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
if [[ $(cat "$target/.stamp" 2>/dev/null) == "$stamp" ]]; then
	exit 0
fi
# A folder that this script didn't make is someone's own: never replaced.
if [[ -d $target && ! -e $target/.stamp ]]; then
	[[ -z $(ls -A "$target") ]] || die "$target is neither empty nor made by this script: name another folder"
fi
command -v npm >/dev/null || die "npm is missing: install it (only to fetch one file; cspine itself doesn't use it)"
command -v openssl >/dev/null || die "openssl is missing: install it (to check what was fetched)"

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.niivue.XXXXXX")
trap 'rm -rf "$work"' EXIT
read -r package version digest < <(grep -v '^#' "$lock")

say "fetching $package $version"
(cd "$work" && npm pack --silent --pack-destination "$work" "$package@$version" >/dev/null) ||
	die "could not be fetched: see npm's message above (is there a network? does npm reach its registry?)"
archives=("$work"/*.tgz)
got=sha512-$(openssl dgst -sha512 -binary "${archives[0]}" | openssl base64 -A)
[[ $got == "$digest" ]] || die "what came is not what niivue.lock names: $got"

mkdir "$work/out"
tar -xzf "${archives[0]}" -C "$work" package/dist/index.js package/package.json
tar -xzf "${archives[0]}" -C "$work" --wildcards 'package/LICENSE*' 2>/dev/null || true
cp "$work"/package/dist/index.js "$work/out/"
cp "$work"/package/LICENSE* "$work/out/" 2>/dev/null || true
echo "$stamp" >"$work/out/.stamp"
rm -rf "$target"
mv "$work/out" "$target"
say "$target"
