#!/usr/bin/env python3
"""Joins jars into one: join.py OUT.jar JAR…

Beam's Flink runner sends every jar of the job server's class path to the cluster, one after the other, and for each of them Flink's blob client and
server wait on each other for tens of milliseconds without computing: 161 jars take twelve seconds, one of the same size takes half a second.

What is in several jars must be equal, or be no class; the first is kept. Lists of services are joined. Licences and notices lie under
META-INF/licenses/<jar>/. Signatures, which are of the jar that they were in, and module descriptors are left out: the class path asks for neither.
"""
import os
import posixpath
import re
import sys
import zipfile

MANIFEST = b"Manifest-Version: 1.0\r\nMulti-Release: true\r\n\r\n"
LEFT_OUT = re.compile(r"META-INF/(MANIFEST\.MF|INDEX\.LIST|[^/]*\.(SF|RSA|DSA|EC)|maven/.*)|(.*/)?module-info\.class")
LICENCE = re.compile(r"(META-INF/)?(LICENSE|NOTICE|DEPENDENCIES)[^/]*|META-INF/license/.*", re.IGNORECASE)


def entries(jar):
    """Yields the files of a jar that go into the joined one: a name and the content."""
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or LEFT_OUT.fullmatch(entry.filename):
                continue
            name = entry.filename
            if LICENCE.fullmatch(name):
                name = f"META-INF/licenses/{os.path.basename(jar)}/{posixpath.basename(name)}"
            yield name, archive.read(entry)


def join(out, jars):
    kept, services = {}, {}
    with zipfile.ZipFile(out, "w") as archive:

        def write(name, content):
            # A fixed date: equal jars make an equal file.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

        write("META-INF/MANIFEST.MF", MANIFEST)
        for jar in sorted(jars, key=os.path.basename):
            for name, content in entries(jar):
                if name.startswith("META-INF/services/"):
                    services.setdefault(name, []).append(content)
                elif name not in kept:
                    kept[name] = hash(content)
                    write(name, content)
                elif name.endswith(".class") and kept[name] != hash(content):
                    raise SystemExit(f"join: {name} of {jar} differs from that of another jar")
        for name, lists in sorted(services.items()):
            write(name, b"\n".join(lists))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    join(sys.argv[1], sys.argv[2:])
