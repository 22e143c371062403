#!/usr/bin/env python3
"""Makes what the tests of package nifti compare with, using nibabel (5.4.2) and numpy.

1. Writes small files with nibabel here (read_*.nii*), and what nibabel reads back from them, to expected.json.
2. Reads with nibabel what this package wrote (written_*.nii*, made by `go test -run Written -update`) into the same file.
"""
import glob
import json
import os

import nibabel as nib
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)
shear = np.array([[-.5, .02, .01, 100], [.03, .6, .05, -50], [0, -.06, 1.25, 30.5], [0, 0, 0, 1]])
labels = rng.integers(0, 20, (5, 4, 3))


def save(name, img):
    nib.save(img, os.path.join(here, "read_" + name))


# No sform and no qform: the affine comes from the pixel sizes.
img = nib.Nifti1Image(labels.astype(np.uint8), None)
img.header.set_zooms((.4, .5, 1.25))
save("pixdim.nii", img)
# qform alone, left-handed (qfac -1), half a turn about an axis (the quaternion's real part is 0).
img = nib.Nifti1Image(labels.astype(np.int16), None)
img.set_sform(None, 0)
img.set_qform(np.array([[-.4, 0, 0, 90], [0, -.4, 0, 80], [0, 0, -1., 70], [0, 0, 0, 1]]), 1)
save("qform_left.nii", img)
# A header extension before the voxels.
img = nib.Nifti1Image(labels.astype(np.int8), shear)
img.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 40))
save("extension.nii.gz", img)
# Version 2, big endian, with scaling.
hdr = nib.Nifti2Header(endianness=">")
img = nib.Nifti2Image(labels.astype(">i4"), shear, hdr)
img.header.set_slope_inter(.5, -3)
save("nifti2_be.nii.gz", img)
# Labels kept as numbers that are wide or not integers.
save("float64.nii.gz", nib.Nifti1Image(labels.astype(np.float64), shear))
save("uint64.nii", nib.Nifti1Image(labels.astype(np.uint64), shear, dtype=np.uint64))
save("four_d.nii", nib.Nifti1Image(rng.integers(0, 99, (3, 2, 2, 2)).astype(np.uint16), shear))

out = []
for path in sorted(glob.glob(os.path.join(here, "*.nii*"))):
    img = nib.load(path)
    q, code = img.get_qform(coded=True)
    out.append(dict(file=os.path.basename(path), shape=img.shape, dtype=img.get_data_dtype().name, affine=img.affine[:3].tolist(),
                    qform=q[:3].tolist() if code else None, values=img.get_fdata().ravel(order="F").tolist()))
with open(os.path.join(here, "expected.json"), "w") as f:
    f.write("[\n" + ",\n".join(map(json.dumps, out)) + "\n]\n")
