package dicom

import "fmt"

// tag is a data element's number, group in the high 16 bits (PS3.6, section 6).
type tag uint32

const (
	tagMetaLength       tag = 0x00020000
	tagMetaVersion      tag = 0x00020001
	tagMediaSOPClass    tag = 0x00020002
	tagMediaSOPInstance tag = 0x00020003
	tagTransferSyntax   tag = 0x00020010
	tagImplClassUID     tag = 0x00020012
	tagImplVersion      tag = 0x00020013

	tagCharacterSet   tag = 0x00080005
	tagImageType      tag = 0x00080008
	tagSOPClassUID    tag = 0x00080016
	tagSOPInstanceUID tag = 0x00080018
	tagStudyDate      tag = 0x00080020
	tagStudyTime      tag = 0x00080030
	tagAccession      tag = 0x00080050
	tagModality       tag = 0x00080060
	tagManufacturer   tag = 0x00080070
	tagReferrer       tag = 0x00080090

	tagPatientName      tag = 0x00100010
	tagPatientID        tag = 0x00100020
	tagPatientBirthDate tag = 0x00100030
	tagPatientSex       tag = 0x00100040

	tagBodyPart       tag = 0x00180015
	tagThickness      tag = 0x00180050
	tagKVP            tag = 0x00180060
	tagSpacingBetween tag = 0x00180088
	tagGantryTilt     tag = 0x00181120
	tagKernel         tag = 0x00181210
	tagPatientPos     tag = 0x00185100

	tagStudyUID       tag = 0x0020000d
	tagSeriesUID      tag = 0x0020000e
	tagStudyID        tag = 0x00200010
	tagSeriesNumber   tag = 0x00200011
	tagAcquisition    tag = 0x00200012
	tagInstanceNumber tag = 0x00200013
	tagPosition       tag = 0x00200032
	tagOrientation    tag = 0x00200037
	tagFrameOfRef     tag = 0x00200052
	tagPositionRef    tag = 0x00201040

	// Functional groups, and the sequences within them.
	tagShared           tag = 0x52009229
	tagPerFrame         tag = 0x52009230
	tagPlanePosition    tag = 0x00209113
	tagPlaneOrientation tag = 0x00209116
	tagPixelMeasures    tag = 0x00289110
	tagPixelValues      tag = 0x00289145

	tagSamples       tag = 0x00280002
	tagPhotometric   tag = 0x00280004
	tagFrames        tag = 0x00280008
	tagRows          tag = 0x00280010
	tagColumns       tag = 0x00280011
	tagPixelSpacing  tag = 0x00280030
	tagBitsAllocated tag = 0x00280100
	tagBitsStored    tag = 0x00280101
	tagHighBit       tag = 0x00280102
	tagRepresent     tag = 0x00280103
	tagPadding       tag = 0x00280120
	tagWindowCentre  tag = 0x00281050
	tagWindowWidth   tag = 0x00281051
	tagIntercept     tag = 0x00281052
	tagSlope         tag = 0x00281053
	tagRescaleType   tag = 0x00281054

	tagFloatPixels  tag = 0x7fe00008
	tagDoublePixels tag = 0x7fe00009
	tagPixelData    tag = 0x7fe00010

	tagItem         tag = 0xfffee000
	tagItemEnd      tag = 0xfffee00d
	tagSequenceEnd  tag = 0xfffee0dd
	undefinedLength     = 0xffffffff
)

func (t tag) group() uint16   { return uint16(t >> 16) }
func (t tag) element() uint16 { return uint16(t) }

// String writes the tag as the standard does: (0028,0010).
func (t tag) String() string { return fmt.Sprintf("(%04x,%04x)", t.group(), t.element()) }
