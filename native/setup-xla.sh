#!/usr/bin/env bash
# Puts XLA's plugin for a platform into a folder: setup-xla.sh cpu|cuda [TARGET_DIR], by default .native/xla-cpu or
# .native/xla-cuda of this checkout.
#
# The wheels named in xla-cpu.lock (63 MB) or xla-cuda.lock (about 2 GB: NVIDIA's libraries too) are fetched by pip, which checks
# their digests, and unpacked; nothing of them is installed or run. Run again it does nothing, also without a network, until the lock
# changes. Nothing outside the folder is written, and no root is needed. It exits with 1 and says why when it can't.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
platform=${1-}
say() { printf 'xla: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
[[ $platform == cpu || $platform == cuda ]] || die "which platform: cpu or cuda?"
target=${2:-$here/../.native/xla-$platform}
lock=$here/xla-$platform.lock

command -v sha256sum >/dev/null || die "sha256sum is missing: install coreutils"
stamp=$(cat "$lock" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
if [[ $(cat "$target/.stamp" 2>/dev/null) == "$stamp" ]]; then
	exit 0
fi
# A folder that this script didn't make is someone's own: never replaced.
if [[ -d $target && ! -e $target/.stamp ]]; then
	[[ -z $(ls -A "$target") ]] || die "$target is neither empty nor made by this script: name another folder"
fi
[[ $(uname -s)/$(uname -m) == Linux/x86_64 ]] || die "is served on Linux on x86-64 only, this is $(uname -s) $(uname -m)"
command -v python3 >/dev/null || die "python3 is missing: install it (only to fetch files; cspine itself doesn't use it)"
python3 -m pip --version >/dev/null 2>&1 || die "pip is missing: install python3-pip (only to fetch files)"

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.xla.XXXXXX")
trap 'rm -rf "$work"' EXIT

say "fetching $(grep -c '==' "$lock") package(s) for $platform"
python3 -m pip download --quiet --no-cache-dir --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
	--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 \
	--platform manylinux_2_12_x86_64 --platform manylinux_2_5_x86_64 --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64 \
	--implementation cp --python-version 3.11 --abi cp311 --requirement "$lock" --dest "$work/wheels" ||
	die "could not be fetched: see pip's message above (is there a network? does pip reach its index?)"

say "unpacking into $target"
python3 - "$work" "$platform" <<'PY'
import os, shutil, sys, zipfile
work, platform = sys.argv[1:]
out = os.path.join(work, "out")
for name in sorted(os.listdir(os.path.join(work, "wheels"))):
    with zipfile.ZipFile(os.path.join(work, "wheels", name)) as z:
        for member in z.namelist():
            if member.endswith("/") or member.endswith((".py", ".h", ".hpp", ".a")):
                continue
            parts = member.split("/")
            if ".." in parts or member.startswith("/"):
                sys.exit(f"xla: {name} wants to write {member}")
            # The plugin for processors stands alone; CUDA's finds its libraries by their places in the wheels.
            to = os.path.join(out, parts[-1]) if platform == "cpu" and parts[-1].endswith(".so") else os.path.join(out, *parts)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with z.open(member) as a, open(to, "wb") as b:
                shutil.copyfileobj(a, b, 1 << 20)
            if z.getinfo(member).external_attr >> 16 & 0o111:
                os.chmod(to, 0o755)
wanted = "libpjrt_cpu.so" if platform == "cpu" else "jax_plugins/xla_cuda13/xla_cuda_plugin.so"
sys.exit(0 if os.path.exists(os.path.join(out, wanted)) else f"xla: the wheels lack {wanted}")
PY

printf '%s\n' "$stamp" >"$work/out/.stamp"
rm -rf "$target"
mv "$work/out" "$target"
say "ready"
