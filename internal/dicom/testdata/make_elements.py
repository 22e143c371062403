"""Writes elements.json: the elements of a few files, as pydicom 3 lists them: depth, tag, VR, length (-1 where a delimiter ends it), keyword.

usage: python make_elements.py FOLDER > elements.json, FOLDER being the one CSPINE_TESTDATA names

VRs are those in the file. Where it has none (implicit form) they are the dictionary's, with UN for private elements. pydicom keeps no lengths
of items, and none of sequences that it had to read on the way: those are ?.
"""
import json
import os
import sys

import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pydicom")
FILES = [os.path.join(HERE, f) for f in ("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "liver_expb_1frame.dcm", "693_J2KI.dcm")] + [
    os.path.join(sys.argv[1], "dicom/pydicom/src/pydicom/data/test_files", f)
    for f in ("CT_small.dcm", "MR_small_implicit.dcm", "rtplan.dcm", "reportsi.dcm", "waveform_ecg.dcm", "priv_SQ.dcm", "nested_priv_SQ.dcm")
]


def lines(d, depth, implicit):
    for tag in sorted(d.keys()):
        raw = d.get_item(tag)
        private = tag.is_private
        if tag.is_private_creator:
            keyword = "PrivateCreator"
        else:
            keyword = "" if private else "GroupLength" if tag.element == 0 else keyword_for_tag(tag)
        if implicit:
            try:
                vr = "LO" if tag.is_private_creator else "UN" if private else "UL" if tag.element == 0 else dictionary_VR(tag)
            except KeyError:
                vr = "UN"
        else:
            vr = raw.VR
        length = getattr(raw, "length", None)
        if vr == "SQ" or raw.VR == "SQ":
            e = d[tag]
            undefined = e.is_undefined_length
            yield f"{depth} ({tag.group:04x},{tag.element:04x}) {vr} {-1 if undefined else '?' if length is None else length} {keyword}"
            for item in e.value:
                yield f"{depth + 1} Item"
                yield from lines(item, depth + 2, implicit)
            continue
        if length == 0xFFFFFFFF or getattr(raw, "is_undefined_length", False):
            length = -1
        yield f"{depth} ({tag.group:04x},{tag.element:04x}) {vr} {'?' if length is None else length} {keyword}"


out = {}
for path in FILES:
    d = pydicom.dcmread(path)
    implicit = d.file_meta.TransferSyntaxUID.is_implicit_VR if "TransferSyntaxUID" in d.file_meta else True
    name = os.path.relpath(path, HERE) if path.startswith(HERE) else os.path.relpath(path, sys.argv[1])
    out[name] = list(lines(d.file_meta, 0, False)) + list(lines(d, 0, implicit))
json.dump(out, sys.stdout, indent=1)
print()
