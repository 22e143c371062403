#!/usr/bin/env bash
# Trains the bundled classifier anew, from nothing but the bundled segmenter, into DIR (default: .bundle of the checkout). It needs
# 45 GB of disk and, on two cores that do nothing else, about three hours; stopped at any moment, it goes on where it was when it is called again.
#
#   models/bundled/classifier.sh [DIR]
#
# Studies and weights follow from the seeds here. The trained bytes follow from them, the code's version and the processor's kernels.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/phantoms.sh"

# A classifier learns from many fractures. None is held out: other phantoms tell how good it is.
#
# part NAME SEED CONFIG FLAG…: trains on phantoms of that seed, into DIR/NAME.onnx
part() {
	local name=$1 seed=$2 config=$3
	shift 3
	if [[ -f $dir/$name.onnx ]]; then return; fi
	if [[ ! -f $dir/store/datasets/$name/manifest.json ]]; then
		phantoms "$name" --masks 0 --studies 600 --slices 140-260 --size 320-512 --syntax jpeg-lossless --fractured 0.3 --seed "$seed"
		"$cspine" prepare --data "$dir/$name" --store "$dir/store" --segmenter bundled --run "$name"
	fi
	rm -rf "$dir/$name"
	"$cspine" train classifier --store "$dir/store" --dataset "$name" --fold none --engine gorgonia --model small \
		--config "$here/$config.toml" --out "$dir/$name.onnx" "$@"
}

part first 11 classifier
part second 12 further --weights "$dir/first.onnx"
trained=$dir/second.onnx

# How often a vertebra is fractured is another matter: phantoms as they usually are tell how sure the classifier may be.
phantoms certainty --masks 0 --studies 100 --slices 140-260 --size 320-512 --syntax jpeg-lossless --seed 401
"$cspine" predict --data "$dir/certainty" --store "$dir/store" --segmenter bundled --classifier "$trained" \
	--run certainty --out "$dir/certainty.csv"
"$cspine" model calibrate "$trained" "$dir/classifier.onnx" --kind platt \
	--submission "$dir/certainty.csv" --truth "$dir/certainty/train.csv"

# Phantoms of another seed, in every syntax and both signednesses.
phantoms test --masks 0 --studies 100 --slices 200 --size 512 --syntax mixed --seed 601
"$cspine" predict --data "$dir/test" --store "$dir/store" --segmenter bundled --classifier "$dir/classifier.onnx" \
	--run test --out "$dir/test.csv"
"$cspine" evaluate --submission "$dir/test.csv" --truth "$dir/test/train.csv" --plots "$dir/plots"
