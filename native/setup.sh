#!/usr/bin/env bash
# Puts OpenVINO's CPU libraries into a folder: setup.sh [TARGET_DIR], by default .native/openvino of this checkout.
#
# The wheel named in requirements.lock is fetched by pip, which checks its digest; only the libraries that cspine
# loads are kept (about 90 MB). Run again it does nothing, also without a network, until the lock changes. Nothing
# outside the folder is written, and no root is needed. It exits with 1 and says why when it can't.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${1:-$here/../.native/openvino}
lock=$here/requirements.lock

say() { printf 'openvino: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v sha256sum >/dev/null || die "sha256sum is missing: install coreutils"
# The stamp covers this script too: it decides what is kept.
stamp=$(cat "$lock" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
if [[ $(cat "$target/.stamp" 2>/dev/null) == "$stamp" ]]; then
	exit 0
fi

# A folder that this script didn't make is someone's own: never replaced.
if [[ -d $target && ! -e $target/.stamp ]]; then
	if compgen -G "$target/libopenvino_c.so*" >/dev/null; then
		say "using the libraries that are in $target"
		exit 0
	fi
	[[ -z $(ls -A "$target") ]] || die "$target is neither empty nor made by this script: name another folder"
fi

case $(uname -s)/$(uname -m) in
Linux/x86_64) platform=manylinux_2_28_x86_64 plugin=libopenvino_intel_cpu_plugin.so ;;
Linux/aarch64) platform=manylinux_2_35_aarch64 plugin=libopenvino_arm_cpu_plugin.so ;;
*) die "is served on Linux (x86-64, 64-bit ARM) only, this is $(uname -s) $(uname -m)" ;;
esac
command -v python3 >/dev/null || die "python3 is missing: install it (only to fetch files; cspine itself doesn't use it)"
python3 -m pip --version >/dev/null 2>&1 || die "pip is missing: install python3-pip (only to fetch files)"

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.openvino.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "fetching $(grep -o '^openvino==[0-9.]*' "$lock") (30 to 60 MB)"
python3 -m pip download --quiet --no-cache-dir --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
	--platform "$platform" --implementation cp --python-version 3.11 --abi cp311 \
	--requirement "$lock" --dest "$work/wheel" ||
	die "could not be fetched: see pip's message above (is there a network? does pip reach its index?)"

say "unpacking into $target"
python3 - "$work" "$plugin" <<'PY'
import fnmatch, os, sys, zipfile
work, plugin = sys.argv[1:]
wheel = os.path.join(work, "wheel", os.listdir(os.path.join(work, "wheel"))[0])
wanted = ["libopenvino_c.so*", "libopenvino.so*", plugin, "libopenvino_onnx_frontend.so*", "libtbb.so*"]
os.makedirs(os.path.join(work, "out", "licenses"))
found = set()
with zipfile.ZipFile(wheel) as z:
    for member in z.namelist():
        name = os.path.basename(member)
        match = next((w for w in wanted if member.startswith("openvino/libs/") and fnmatch.fnmatch(name, w)), None)
        if match:
            found.add(match)
        if match or ".dist-info/licenses/" in member and name:
            to = os.path.join(work, "out", name if match else os.path.join("licenses", name))
            with z.open(member) as a, open(to, "wb") as b:
                while block := a.read(1 << 20):
                    b.write(block)
missing = set(wanted) - found
sys.exit(f"openvino: the wheel lacks {sorted(missing)}" if missing else 0)
PY

printf '%s\n' "$stamp" >"$work/out/.stamp"
rm -rf "$target"
mv "$work/out" "$target"
say "ready"
