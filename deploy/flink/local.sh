#!/usr/bin/env bash
# A standalone Flink cluster on this machine, as small as one can be: a job manager and task managers.
#
#   local.sh up [SLOTS] [TASK_MANAGERS]   fetch what is missing, start (default: one task manager with a slot for each core)
#   local.sh run COMMAND …                ./run.sh COMMAND … --runner flink on it
#   local.sh kill-tm                      kill -9 a task manager, and start another
#   local.sh kill-worker                  kill -9 a worker of cspine; Flink starts another
#   local.sh status                       what runs
#   local.sh down                         stop everything
#   local.sh show [STUDIES]               all of it: up; prepare of phantoms with a task manager killed in the middle; the same on a Flink inside the
#                                         job server, and on the embedded runner; compare; down
#
# State and logs lie in .native/flink-local of this checkout. CSPINE_FLINK_PORT is the port of Flink's REST service (8081).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
dist=$root/.native/flink
state=$root/.native/flink-local
port=${CSPINE_FLINK_PORT:-8081}

say() { printf 'flink: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

opens=()
for pkg in java.lang java.util java.net java.io java.nio java.lang.reflect java.text java.time java.util.concurrent \
	java.util.concurrent.atomic java.util.concurrent.locks; do opens+=("--add-opens=java.base/$pkg=ALL-UNNAMED"); done
opens+=(--add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/sun.net.util=ALL-UNNAMED --add-opens=java.management/sun.management=ALL-UNNAMED)

# What a small cluster computes is small: Java's slower, thorough compiler would take processors from the workers for longer than it saves.
quick=(-XX:TieredStopAtLevel=1)

class_path() {
	local jars=("$dist"/flink/flink-*.jar "$dist"/flink/log4j-*.jar)
	local IFS=:
	echo "${jars[*]}"
}

rest() { curl --silent --fail --max-time 5 "http://localhost:$port$1"; }

field() { python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

slots_now() { rest /overview 2>/dev/null | field slots-total 2>/dev/null || echo 0; }

# start NAME JAVA-ARGUMENTS…: a process of its own session, whose number and log are kept.
start() {
	local name=$1
	shift
	setsid java "${opens[@]}" "${quick[@]}" -Dlog4j.configurationFile="$here/log4j2.properties" "$@" >"$state/$name.log" 2>&1 </dev/null &
	echo $! >"$state/$name.pid"
}

start_task_manager() {
	local name jvm dynamic lines
	name=taskmanager-$(date +%s%N)
	# Flink's own tool works out how its memory is divided: a line for the JVM, and one for Flink.
	lines=$(java -cp "$(class_path):$dist/flink/bash-java-utils.jar" org.apache.flink.runtime.util.bash.BashJavaUtils GET_TM_RESOURCE_PARAMS --configDir "$state/conf" 2>/dev/null |
		sed -n 's/^BASH_JAVA_UTILS_EXEC_RESULT://p') || true
	jvm=$(sed -n 1p <<<"$lines") dynamic=$(sed -n 2p <<<"$lines")
	[[ -n $jvm ]] || die "Flink's memory settings can't be read: see flink-conf.yaml"
	# shellcheck disable=SC2086 # words are what they are
	start "$name" $jvm -cp "$(class_path)" org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$state/conf" $dynamic
}

up() {
	local slots=${1:-$(nproc)} managers=${2:-1}
	command -v java >/dev/null || die "Java is missing: install a JRE of version 11 or 17"
	bash "$here/setup.sh" "$dist"
	rest /overview >/dev/null 2>&1 && die "something answers at port $port already: 'local.sh down', or another CSPINE_FLINK_PORT"
	mkdir -p "$state/conf" "$state/tmp"
	{
		cat "$here/flink-conf.yaml"
		printf 'rest.port: %s\njobmanager.rpc.port: %s\nblob.server.port: %s\n' "$port" $((port + 1000)) $((port + 1001))
		printf 'taskmanager.numberOfTaskSlots: %s\nparallelism.default: %s\nio.tmp.dirs: %s\n' "$slots" "$slots" "$state/tmp"
	} >"$state/conf/flink-conf.yaml"
	start jobmanager -Xmx448m -cp "$(class_path)" org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir "$state/conf" --executionMode cluster
	for _ in $(seq "$managers"); do start_task_manager; done
	for _ in $(seq 240); do
		if [[ $(slots_now) == $((slots * managers)) ]]; then
			say "$((slots * managers)) slots at http://localhost:$port"
			return
		fi
		sleep 0.5
	done
	die "the cluster does not come up: see $state/*.log"
}

alive() { # names of what runs
	local file
	for file in "$state"/*.pid; do
		if [[ -e $file ]] && kill -0 "$(<"$file")" 2>/dev/null; then basename "$file" .pid; fi
	done
}

workers() { pgrep -f -- "--worker=true --id=" || true; }

kill_task_manager() {
	local name
	name=$(alive | grep '^taskmanager' | head -n 1)
	[[ -n $name ]] || die "no task manager runs"
	kill -9 "$(<"$state/$name.pid")"
	rm "$state/$name.pid"
	say "killed $name"
	start_task_manager
}

kill_worker() {
	local pids
	mapfile -t pids < <(workers)
	((${#pids[@]})) || die "no worker runs"
	kill -9 "${pids[0]}"
	say "killed worker ${pids[0]}"
}

down() {
	local name
	for name in $(alive); do
		kill "$(<"$state/$name.pid")" 2>/dev/null || true
	done
	for _ in $(seq 40); do
		[[ -n $(alive) ]] || break
		sleep 0.25
	done
	for name in $(alive); do kill -9 "$(<"$state/$name.pid")" 2>/dev/null || true; done
	rm -f "$state"/*.pid
	rm -rf "$state/tmp"
}

run() { "$root/run.sh" "$@" --runner flink --flink-master "localhost:$port"; }

show() {
	local studies=${1:-24} dir=$state/show
	rm -rf "$dir"
	mkdir -p "$dir"
	"$root/run.sh" phantom --out "$dir/data" --studies "$studies" --masks "$studies" --slices 120 --seed 11 --syntax mixed
	up
	trap down EXIT
	run prepare --data "$dir/data" --store "$dir/store" --segmenter labels --run show &
	local job=$!
	# In the middle: crops are made.
	for _ in $(seq 1200); do
		(($(find "$dir/store/records" -type f 2>/dev/null | wc -l) > 4 * studies)) && break
		kill -0 $job 2>/dev/null || break
		sleep 0.1
	done
	kill_task_manager
	wait $job || die "the run failed: see $state/*.log"
	down
	say "the run ended well; now the same on a Flink inside the job server"
	"$root/run.sh" prepare --data "$dir/data" --store "$dir/inside" --segmenter labels --run show --runner flink
	say "and on the embedded runner"
	"$root/run.sh" prepare --data "$dir/data" --store "$dir/embedded" --segmenter labels --run show
	diff -r "$dir/embedded/datasets" "$dir/store/datasets" || die "the data set differs"
	diff -r "$dir/embedded/datasets" "$dir/inside/datasets" || die "the data set of Flink inside the job server differs"
	"$root/run.sh" verify --store "$dir/store" --read-data
	[[ -z $(alive)$(workers) ]] || die "processes were left behind: $(alive) $(workers)"
	say "data sets are equal, byte for byte; no process is left"
}

case ${1-} in
up) shift; up "$@" ;;
run) shift; run "$@" ;;
kill-tm) kill_task_manager ;;
kill-worker) kill_worker ;;
status) alive; workers ;;
down) down ;;
show) shift; show "$@" ;;
*) sed -n '2,13p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//'; exit 2 ;;
esac
