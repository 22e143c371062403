package dicom

// TransferSyntax is the UID that says how a data set and its pixels are coded (DICOM PS3.5, section 10
// and annex A).
type TransferSyntax string

// The transfer syntaxes this package reads.
const (
	ImplicitLittleEndian TransferSyntax = "1.2.840.10008.1.2"
	ExplicitLittleEndian TransferSyntax = "1.2.840.10008.1.2.1"
	DeflatedLittleEndian TransferSyntax = "1.2.840.10008.1.2.1.99"
	ExplicitBigEndian    TransferSyntax = "1.2.840.10008.1.2.2"
	JPEGBaseline         TransferSyntax = "1.2.840.10008.1.2.4.50"
	JPEGExtended         TransferSyntax = "1.2.840.10008.1.2.4.51"
	// JPEGLossless is process 14 with any predictor.
	JPEGLossless TransferSyntax = "1.2.840.10008.1.2.4.57"
	// JPEGLosslessSV1 is process 14 with predictor 1.
	JPEGLosslessSV1   TransferSyntax = "1.2.840.10008.1.2.4.70"
	JPEGLSLossless    TransferSyntax = "1.2.840.10008.1.2.4.80"
	JPEGLSNear        TransferSyntax = "1.2.840.10008.1.2.4.81"
	JPEG2000Lossless  TransferSyntax = "1.2.840.10008.1.2.4.90"
	JPEG2000          TransferSyntax = "1.2.840.10008.1.2.4.91"
	HTJ2KLossless     TransferSyntax = "1.2.840.10008.1.2.4.201"
	HTJ2KLosslessRPCL TransferSyntax = "1.2.840.10008.1.2.4.202"
	HTJ2K             TransferSyntax = "1.2.840.10008.1.2.4.203"
	RLELossless       TransferSyntax = "1.2.840.10008.1.2.5"
)

// coding is how a syntax codes frames.
type coding int

const (
	unread    coding = iota
	native           // as they are
	lossless         // package jpegll
	runs             // package rle
	nearly           // package jpegls
	wavelets         // package jpeg2000, and package sandbox for what that leaves out
	sandboxed        // package sandbox
)

var codings = map[TransferSyntax]coding{
	ImplicitLittleEndian: native, ExplicitLittleEndian: native, DeflatedLittleEndian: native, ExplicitBigEndian: native,
	JPEGLossless: lossless, JPEGLosslessSV1: lossless,
	RLELossless:  runs,
	JPEGBaseline: sandboxed, JPEGExtended: sandboxed, JPEGLSLossless: nearly, JPEGLSNear: nearly,
	JPEG2000Lossless: wavelets, JPEG2000: wavelets, HTJ2KLossless: sandboxed, HTJ2KLosslessRPCL: sandboxed, HTJ2K: sandboxed,
}

// syntaxNames holds every transfer syntax this package knows by name (PS3.6, table A-1). Those not
// written above are refused with unsupported_syntax.
var syntaxNames = map[TransferSyntax]string{
	ImplicitLittleEndian:      "Implicit VR Little Endian",
	ExplicitLittleEndian:      "Explicit VR Little Endian",
	DeflatedLittleEndian:      "Deflated Explicit VR Little Endian",
	ExplicitBigEndian:         "Explicit VR Big Endian",
	"1.2.840.10008.1.2.1.98":  "Encapsulated Uncompressed Explicit VR Little Endian",
	JPEGBaseline:              "JPEG Baseline (8 bit)",
	JPEGExtended:              "JPEG Extended (12 bit)",
	"1.2.840.10008.1.2.4.53":  "JPEG Spectral Selection, Non-Hierarchical (process 6 and 8)",
	"1.2.840.10008.1.2.4.55":  "JPEG Full Progression, Non-Hierarchical (process 10 and 12)",
	JPEGLossless:              "JPEG Lossless, Non-Hierarchical (process 14)",
	JPEGLosslessSV1:           "JPEG Lossless, First-Order Prediction (process 14, selection value 1)",
	JPEGLSLossless:            "JPEG-LS Lossless",
	JPEGLSNear:                "JPEG-LS Near-Lossless",
	JPEG2000Lossless:          "JPEG 2000 (lossless only)",
	JPEG2000:                  "JPEG 2000",
	"1.2.840.10008.1.2.4.92":  "JPEG 2000 Part 2 Multi-component (lossless only)",
	"1.2.840.10008.1.2.4.93":  "JPEG 2000 Part 2 Multi-component",
	"1.2.840.10008.1.2.4.94":  "JPIP Referenced",
	"1.2.840.10008.1.2.4.95":  "JPIP Referenced Deflate",
	"1.2.840.10008.1.2.4.100": "MPEG2 Main Profile / Main Level",
	"1.2.840.10008.1.2.4.101": "MPEG2 Main Profile / High Level",
	"1.2.840.10008.1.2.4.102": "MPEG-4 AVC/H.264 High Profile / Level 4.1",
	"1.2.840.10008.1.2.4.103": "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
	"1.2.840.10008.1.2.4.107": "HEVC/H.265 Main Profile / Level 5.1",
	"1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
	"1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
	"1.2.840.10008.1.2.4.112": "JPEG XL",
	HTJ2KLossless:             "HTJ2K (lossless only)",
	HTJ2KLosslessRPCL:         "HTJ2K with RPCL options (lossless only)",
	HTJ2K:                     "HTJ2K",
	RLELossless:               "RLE Lossless",
	"1.2.840.10008.1.2.8.1":   "Deflated Image Frame Compression",
}

// Supported says whether this package reads slices of the syntax.
func (ts TransferSyntax) Supported() bool { return codings[ts] != unread }

// Writable says whether this package writes slices of the syntax.
func (ts TransferSyntax) Writable() bool {
	return ts == ImplicitLittleEndian || ts == ExplicitLittleEndian || codings[ts] == lossless
}

// Name returns the standard's name of the syntax, or "unknown transfer syntax".
func (ts TransferSyntax) Name() string {
	if name, ok := syntaxNames[ts]; ok {
		return name
	}
	return "unknown transfer syntax"
}

// encapsulated says whether pixel data are a sequence of fragments (PS3.5, A.4).
func (ts TransferSyntax) encapsulated() bool { return codings[ts] > native }
