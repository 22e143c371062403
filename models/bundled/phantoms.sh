# What segmenter.sh and classifier.sh share, sourced by both: where they work, and phantoms that are made once, whole or not at all.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cspine=$here/../../run.sh
dir=${1:-$here/../../.bundle}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# phantoms NAME FLAG…: studies into DIR/NAME
phantoms() {
	local name=$1
	shift
	if [[ ! -f $dir/$name/train.csv ]]; then
		rm -rf "$dir/$name.tmp"
		"$cspine" phantom --out "$dir/$name.tmp" "$@"
		mv "$dir/$name.tmp" "$dir/$name"
	fi
}
