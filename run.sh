#!/usr/bin/env bash
# The one door to cspine.
#
#   ./run.sh                  the demo: synthetic CT studies in; shards, pictures, predictions and their score out
#   ./run.sh test             all tests
#   ./run.sh setup            only fetch and build what the other two need
#   ./run.sh setup xla-cuda   fetch XLA's plugin for NVIDIA GPUs (about 2 GB); xla-cpu: for processors, to test with
#   ./run.sh setup view       fetch what draws in three dimensions on the pages of 'cspine view' (3 MB; needs npm)
#   ./run.sh setup flink      fetch Flink and Beam's job server for it (400 MB; needs Java and Maven)
#   ./run.sh <command> …      cspine <command> …, built when its sources changed
#
# Everything that is fetched or built goes into .native and .build of this checkout. Once set up, nothing
# here needs the network, and nothing ever needs root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
native=$here/.native
build=$here/.build
linter=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }

need_go() {
	command -v go >/dev/null || die "Go is missing: install Go 1.26 or later, then run this again"
	local version
	version=$(go env GOVERSION)
	[[ $(printf '%s\ngo1.26\n' "$version" | sort -V | head -n 1) == go1.26 ]] ||
		die "Go 1.26 or later is needed, this is $version"
}

# Built where the caller stands, so that relative paths among the arguments keep their meaning.
build_cspine() {
	need_go
	mkdir -p "$build"
	if [[ ! -x $build/cspine ]]; then say "building cspine (the first time takes a few minutes)"; fi
	CGO_ENABLED=0 go -C "$here" build -trimpath -o "$build/cspine" ./cmd/cspine
}

# The inference library is optional: without it the embedded engine runs models, in Go alone.
setup_native() {
	CSPINE_NATIVE_DIR=${CSPINE_NATIVE_DIR:-$native/openvino}
	export CSPINE_NATIVE_DIR
	bash "$here/native/setup.sh" "$CSPINE_NATIVE_DIR" ||
		say "no OpenVINO library: the embedded engine runs models instead"
}

# XLA trains on GPUs; tests run it on the processor.
setup_xla() {
	bash "$here/native/setup-xla.sh" "$1" "$native/xla-$1"
}

# NiiVue draws volumes in three dimensions; without it pages show planes.
setup_view() {
	bash "$here/native/setup-niivue.sh" "$native/niivue"
}

# Flink is for runs past one machine.
setup_flink() {
	bash "$here/deploy/flink/setup.sh" "$native/flink"
}

# Python is only used by tests, to read shards with other people's readers.
setup_python() {
	local venv=$native/python stamp
	stamp=$(sha256sum "$here/native/python-test.lock" | cut -d' ' -f1)
	if [[ $(cat "$venv/.stamp" 2>/dev/null) != "$stamp" ]]; then
		command -v python3 >/dev/null || { say "no python3: the tests that read shards with pyarrow are skipped"; return; }
		say "fetching pyarrow and datasets for the tests into .native/python"
		rm -rf "$venv"
		python3 -m venv "$venv" &&
			"$venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r "$here/native/python-test.lock" &&
			echo "$stamp" >"$venv/.stamp" ||
			{ say "could not set up Python: the tests that read shards with pyarrow are skipped"; rm -rf "$venv"; return; }
	fi
	export CSPINE_PYTHON=$venv/bin/python
}

lint() {
	if [[ ! -x $build/golangci-lint ]]; then
		say "building the linter (once)"
		GOBIN=$build CGO_ENABLED=0 GOFLAGS=-buildvcs=false go install "$linter" ||
			{ say "could not get the linter: skipped"; return 0; }
	fi
	say "import rules and lint"
	bash "$here/deploy/docker/lint.sh"
	(cd "$here" && "$build/golangci-lint" run --timeout 15m ./...)
}

run_tests() {
	need_go
	setup_native
	setup_python
	setup_xla cpu || say "no plugin of XLA for processors: the tests of engine xla are skipped"
	if setup_view; then export CSPINE_NIIVUE_DIR=${CSPINE_NIIVUE_DIR:-$native/niivue}; else say "no NiiVue: the test of three dimensions is skipped"; fi
	command -v "${CSPINE_BROWSER:-chromium}" >/dev/null || say "no Chromium: the tests of pages in a browser are skipped"
	cd "$here"
	[[ -d $here/../shared/data && -z ${CSPINE_TESTDATA:-} ]] && export CSPINE_TESTDATA=$here/../shared/data
	unformatted=$(gofmt -l $(git ls-files '*.go'))
	[[ -z $unformatted ]] || die "not gofmt-ed: $unformatted"
	say "go vet"
	go vet ./...
	lint
	say "tests"
	go test -vet=off -timeout 30m ./...
	if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
		say "no Java or no Maven: the run on Flink is skipped"
	elif ! setup_flink; then
		say "Flink could not be fetched: the run on it is skipped"
	else
		say "Flink: prepare on a cluster of this machine, a task manager killed in the middle"
		bash deploy/flink/local.sh show 6
	fi
	if command -v gcc >/dev/null; then
		say "race detector"
		CGO_ENABLED=1 go test -vet=off -race -short ./artifacts ./transforms/...
	else
		say "no gcc: the race detector is skipped"
	fi
}

demo() {
	local dir=$here/.demo
	build_cspine
	setup_native
	if [[ ! -f $dir/data/train.csv ]]; then
		say "twelve synthetic neck CT studies into .demo/data"
		"$build/cspine" phantom --out "$dir/data.tmp" --studies 12 --slices 200 --masks 6 --seed 7 --syntax mixed
		rm -rf "$dir/data"
		mv "$dir/data.tmp" "$dir/data"
	fi
	say "cspine prepare --task segmentation: the masks that people drew, to train on and to compare with"
	"$build/cspine" prepare --task segmentation --data "$dir/data" --store "$dir/store" --run drawn
	say "cspine prepare: DICOM to shards; run it again and see how little is left to do"
	"$build/cspine" prepare --data "$dir/data" --store "$dir/store" --segmenter bundled --run demo --pictures "$dir/pictures"
	say "cspine predict: which vertebrae are fractured?"
	"$build/cspine" predict --data "$dir/data" --store "$dir/store" --segmenter bundled --classifier bundled --run demo --out "$dir/submission.csv"
	say "cspine evaluate: how good is that?"
	"$build/cspine" evaluate --submission "$dir/submission.csv" --truth "$dir/data/train.csv" --plots "$dir/plots"
	say "cspine report: all of it as one file"
	"$build/cspine" report --store "$dir/store" --run demo --out "$dir/report.html"
	setup_view || say "no NiiVue: the pages show planes only"
	say "shards: .demo/store/datasets/demo   pictures: .demo/pictures   predictions: .demo/submission.csv   plots: .demo/plots   report: .demo/report.html"
	say "look at it in the browser: ./run.sh view --store .demo/store --data .demo/data"
}

case ${1-} in
"") demo ;;
test) run_tests ;;
setup)
	case ${2-} in
	"") build_cspine; setup_native; setup_python; setup_view || say "no NiiVue: 'cspine view' shows planes only" ;;
	xla-cpu | xla-cuda) setup_xla "${2#xla-}" ;;
	view) build_cspine; setup_view ;;
	flink) build_cspine; setup_flink ;;
	*) die "setup ${2}: there are xla-cpu, xla-cuda, view and flink" ;;
	esac
	;;
-h | --help) sed -n '2,13p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//' ;;
*)
	build_cspine
	export CSPINE_NATIVE_DIR=${CSPINE_NATIVE_DIR:-$native/openvino} CSPINE_FLINK_DIR=${CSPINE_FLINK_DIR:-$native/flink} CSPINE_NIIVUE_DIR=${CSPINE_NIIVUE_DIR:-$native/niivue}
	exec "$build/cspine" "$@"
	;;
esac
