#!/bin/sh
# Writes and reads the same crops as Parquet with cspine and with pyarrow, in turn, and prints crops a second.
#
#   compare.sh WORK PEER.py [ROUNDS]
#
# WORK/crops holds crops as <study>_<level>.npy, as PEER.py's `crop` leaves them; PEER.py has a command
# `shards WORK --format parquet-zstd` that prints write_samples_s, read_samples_s and bytes_out. PYTHON names
# the python to run it with. Take the medians, and no other load on the machine.
set -eu
work=$(cd "$1" && pwd)
peer=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")/.."
bench=$(mktemp)
trap 'rm -f "$bench"' EXIT
go test -c -o "$bench" .
for round in $(seq "${3:-5}"); do
    echo "round $round"
    CSPINE_CROPS="$work/crops/*.npy" "$bench" -test.run '^$' -test.bench 'Write|Read' | grep '^Benchmark'
    "${PYTHON:-python3}" "$peer" shards "$work" --format parquet-zstd
done
