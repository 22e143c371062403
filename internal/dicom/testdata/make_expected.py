"""Writes headers.json: what pydicom 3 reads of a few public CT files.

usage: python make_expected.py FOLDER > headers.json, FOLDER being the one CSPINE_TESTDATA names
"""
import json
import sys

import pydicom

FILES = [
    "dicom/cornerstoneWADOImageLoader/examples/test-images/CTImage.dcm",
    "dicom/cornerstoneWADOImageLoader/examples/test-images/CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm",
    "dicom/pydicom/src/pydicom/data/test_files/CT_small.dcm",
    "dicom/pydicom/src/pydicom/data/test_files/MR_small_implicit.dcm",
    "ct/head-tilted/01.dcm",
    "ct/thorax-j2k/CT.1.3.12.2.1107.5.1.4.60064.30000022120808113428000016573",
]


def header(path):
    d = pydicom.dcmread(path, stop_before_pixels=True)
    value = lambda name, default=None: d.get(name, default)
    padding = value("PixelPaddingValue")
    if padding is not None and d.PixelRepresentation == 1 and padding > 32767:
        padding -= 65536
    kernel = value("ConvolutionKernel", "")
    return {
        "StudyUID": str(value("StudyInstanceUID", "")),
        "SeriesUID": str(value("SeriesInstanceUID", "")),
        "SOPClassUID": str(value("SOPClassUID", "")),
        "SOPInstanceUID": str(value("SOPInstanceUID", "")),
        "FrameOfReferenceUID": str(value("FrameOfReferenceUID", "")),
        "Modality": value("Modality", ""),
        "Manufacturer": value("Manufacturer", ""),
        "ImageType": list(value("ImageType", [])),
        "Kernel": kernel if isinstance(kernel, str) else kernel[0],
        "InstanceNumber": int(value("InstanceNumber", 0)),
        "HasInstanceNumber": value("InstanceNumber") is not None,
        "PositionMM": [float(v) for v in value("ImagePositionPatient")],
        "Orientation": [float(v) for v in value("ImageOrientationPatient")],
        "HasGeometry": True,
        "SpacingMM": [float(v) for v in value("PixelSpacing")],
        "ThicknessMM": float(value("SliceThickness") or 0),
        "GantryTiltDegrees": float(value("GantryDetectorTilt") or 0),
        "Slope": float(value("RescaleSlope", 1)),
        "Intercept": float(value("RescaleIntercept", 0)),
        "Padding": padding,
        "Pixels": {
            "transfer_syntax": str(d.file_meta.TransferSyntaxUID),
            "rows": d.Rows, "columns": d.Columns, "frames": int(value("NumberOfFrames", 1)), "samples": d.SamplesPerPixel,
            "bits_allocated": d.BitsAllocated, "bits_stored": d.BitsStored, "high_bit": d.HighBit,
            "signed": d.PixelRepresentation == 1, "photometric": d.PhotometricInterpretation,
            "encapsulated": d.file_meta.TransferSyntaxUID.is_encapsulated,
        },
    }


json.dump({f: header(sys.argv[1] + "/" + f) for f in FILES}, sys.stdout, indent=1)
print()
