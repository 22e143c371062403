#!/usr/bin/env bash
# Trains the bundled segmenter anew, from nothing, into DIR (default: .bundle of the checkout). It needs 15 GB of disk and, on two
# cores, about an hour; stopped at any moment, it goes on from its last checkpoint when it is called again.
#
#   models/bundled/segmenter.sh [DIR]
#
# Studies and weights follow from the seeds here. The trained bytes follow from them, the code's version and the processor's kernels.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/phantoms.sh"

phantoms training --studies 500 --masks 500 --vary wide --slices 60-200 --size 192-320 --seed 1
"$cspine" prepare --task segmentation --data "$dir/training" --store "$dir/store" --run training
"$cspine" model build unet-small --size 64 --seed 1 --out "$dir/start.onnx"
"$cspine" train segmenter --store "$dir/store" --dataset training --fold 0 --engine gorgonia --run half \
	--model "$dir/start.onnx" --config "$here/half.toml" --out "$dir/half.onnx"
"$cspine" train segmenter --store "$dir/store" --dataset training --fold 0 --engine gorgonia --run full \
	--model unet-small --weights "$dir/half.onnx" --config "$here/full.toml" --out "$dir/segmenter.onnx"

# Phantoms of other seeds: the usual ones, in every syntax and both signednesses, and ones that vary as widely as the training's.
test_on() {
	local name=$1
	phantoms "$@"
	"$cspine" prepare --task segmentation --data "$dir/$name" --store "$dir/store" --run "$name"
	"$cspine" evaluate segmenter --store "$dir/store" --dataset "$name" --segmenter "$dir/segmenter.onnx"
}
test_on usual --studies 24 --masks 24 --slices 200 --size 512 --syntax mixed --seed 501
test_on wide --studies 24 --masks 24 --vary wide --slices 60-600 --size 192-512 --seed 502
