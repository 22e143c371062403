#!/usr/bin/env bash
# Makes the pictures of README.md that show pages of 'cspine view': docs/screenshots.sh. The pages are of the demo's phantoms (./run.sh makes them);
# a headless Chromium draws them (CSPINE_BROWSER, or chromium on the PATH).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/..
browser=${CSPINE_BROWSER:-chromium}
demo=$root/.demo
[[ -d $demo/store ]] || { echo "screenshots: no demo yet: ./run.sh" >&2; exit 1; }
command -v "$browser" >/dev/null || { echo "screenshots: no $browser: install Chromium, or name it in CSPINE_BROWSER" >&2; exit 1; }

work=$(mktemp -d)
"$root/run.sh" view --store "$demo/store" --data "$demo/data" >"$work/address" &
server=$!
trap 'kill $server; rm -rf "$work"' EXIT
until [[ -s $work/address ]]; do sleep 0.2; done
read -r address <"$work/address"
token=${address#*\?}
address=${address%%/\?*}

shoot() { # FILE PATH WIDTH,HEIGHT
	local separator='?'
	[[ $2 == *\?* ]] && separator='&'
	"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" --window-size="$3" --virtual-time-budget=8000 \
		--screenshot="$here/$1" "$address$2$separator$token" 2>/dev/null
}

newest() { basename "$(find "$demo/store/runs/$1" -maxdepth 1 -name '*.parquet' | sort | tail -n 1)" .parquet; }
run=$(newest demo) drawn=$(newest drawn)
# A study of which the store has a mask that a person drew, so that both are there.
study=$(find "$demo/data/segmentations" -name '*.nii*' | sort | sed -n '2{s:.*/::;s/\.nii.*//;p}')
shoot view-study.png "/runs/demo/$run/studies/$study" 1400,1010
shoot view-compare.png "/compare/$study?a=drawn/$drawn&b=demo/$run" 1400,760
echo "docs/view-study.png docs/view-compare.png"
