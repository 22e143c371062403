#!/usr/bin/env python3
"""Runs the steps of the Dockerfile on a machine that has no container engine, so that they are known to work.

    deploy/docker/steps.py [--target cpu] [-- COMMAND …]

Needs Linux, root and the kernel's overlay file system. Each stage is a view of this machine's own file system: what its steps write goes elsewhere and
is thrown away at the end. So this machine stands for all base images: it must have Go for the stage that builds and Python for those that fetch, and
steps that only these images' own content would break are not found. Go's caches are this machine's, so that nothing is built twice.

At the end COMMAND ('doctor' if none is given) runs in the target's view by its ENTRYPOINT, or by cspine where that is the base image's.
"""
import argparse
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def instructions(path):
    """The Dockerfile's instructions: (word, rest), continued lines joined."""
    with open(path) as f:
        text = re.sub(r"\\\n", " ", "".join(line for line in f if not line.lstrip().startswith("#")))
    for line in text.splitlines():
        if line.strip():
            word, rest = line.strip().split(None, 1)
            yield word.upper(), rest.strip()


class Stage:
    def __init__(self, name, base, folder):
        self.name, self.steps = name, []
        self.base, self.folder = base, folder  # base is a Stage or the name of an image
        self.root = os.path.join(folder, name, "root")
        self.environment, self.workdir, self.entrypoint = {}, "/", None

    def mount(self):
        """Lays the stage's writes over its base's, and those over this machine."""
        lower, stage = [], self
        while isinstance(stage, Stage):
            if stage is not self:
                lower.append(os.path.join(stage.folder, stage.name, "written"))
                self.environment = {**stage.environment, **self.environment}
                self.workdir, self.entrypoint = stage.workdir, stage.entrypoint
            stage = stage.base
        written, work = (os.path.join(self.folder, self.name, part) for part in ("written", "work"))
        for each in (written, work, self.root):
            os.makedirs(each)
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={':'.join(lower + ['/'])},upperdir={written},workdir={work}", self.root)
        for place in ["/proc", "/dev", *CACHES]:
            run("mount", "--bind", place, self.root + place)

    def path(self, name):
        return self.root + os.path.normpath(os.path.join(self.workdir, name))

    def expand(self, text):
        known = {**os.environ, **self.environment}
        return re.sub(r"\$\{?(\w+)\}?", lambda m: known.get(m[1], ""), text)

    def run(self, command, **more):
        environment = {**os.environ, **self.environment}
        script = f"cd {shlex.quote(self.workdir)} && {command}"
        subprocess.run(["chroot", self.root, "/bin/sh", "-c", script], check=True, env=environment, **more)

    def copy(self, arguments, stages):
        source = ROOT
        words = shlex.split(arguments)
        if words[0].startswith("--from="):
            source = stages[words.pop(0).removeprefix("--from=")].root
        *names, to = words
        target = self.path(to)
        for name in names:
            origin = os.path.normpath(os.path.join(source, name.lstrip("/")))
            if origin == ROOT:
                # The context: what git tracks or would, as .dockerignore leaves out what it ignores.
                listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True).stdout
                for file in filter(None, listed.decode().split("\0")):
                    if os.path.isfile(os.path.join(ROOT, file)):
                        put(os.path.join(ROOT, file), os.path.join(target, file))
                continue
            if not glob.glob(origin):
                sys.exit(f"steps: stage {self.name}: COPY {arguments}: there is no {name}")
            if os.path.isdir(origin):
                shutil.copytree(origin, target, dirs_exist_ok=True, symlinks=True)
            else:
                put(origin, os.path.join(target, os.path.basename(origin)) if to.endswith("/") or len(names) > 1 else target)


def put(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy2(source, target)


def run(*command):
    subprocess.run(command, check=True)


def go(name):
    return subprocess.run(["go", "env", name], check=True, capture_output=True, text=True).stdout.strip()


CACHES = []


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--target", default="cpu")
    ap.add_argument("command", nargs="*", default=["doctor"])
    o = ap.parse_args()
    if os.geteuid() != 0:
        sys.exit("steps: this needs root, to lay file systems over each other")
    if not os.environ.get("CSPINE_STEPS_APART"):  # mounts of its own, which end with it
        os.environ["CSPINE_STEPS_APART"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    CACHES.extend(filter(os.path.isdir, [go("GOCACHE"), go("GOMODCACHE")]))
    folder = tempfile.mkdtemp(prefix="cspine-steps.")
    run("mount", "-t", "tmpfs", "tmpfs", folder)  # what lies over a file system can't lie in it
    stages, stage = {}, None
    for word, rest in instructions(os.path.join(HERE, "Dockerfile")):
        if word == "ARG":
            continue  # versions of base images, for which this machine stands
        if word == "FROM":
            image, _, name = rest.split()
            stage = Stage(name, stages.get(image, image), folder)
            stages[name] = stage
        else:
            stage.steps.append((word, rest))
    wanted = set()

    def want(name):
        """All stages that a stage needs, before itself."""
        if name in wanted:
            return
        of = stages.get(name) or sys.exit(f"steps: the Dockerfile has no stage {name}: it has {', '.join(stages)}")
        wanted.add(name)
        for needed in ([of.base.name] if isinstance(of.base, Stage) else []) + re.findall(r"--from=(\S+)", " ".join(rest for _, rest in of.steps)):
            want(needed)
        of.mount()
        for word, rest in of.steps:
            print(f"== {name}: {word} {rest}", flush=True)
            if word == "RUN":
                of.run(rest)
            elif word == "COPY":
                of.copy(rest, stages)
            elif word == "WORKDIR":
                of.workdir = rest
                os.makedirs(of.path("."), exist_ok=True)
            elif word == "ENV":
                for pair in shlex.split(of.expand(rest)):
                    key, _, value = pair.partition("=")
                    of.environment[key] = value
            elif word == "ENTRYPOINT":
                of.entrypoint = json.loads(rest)
            else:
                sys.exit(f"steps: {word} is not known here")

    want(o.target)
    last = stages[o.target]
    command = " ".join(map(shlex.quote, (last.entrypoint or ["/opt/cspine/cspine"]) + o.command))
    print(f"== {o.target}: {command}", flush=True)
    last.run(command)


if __name__ == "__main__":
    main()
