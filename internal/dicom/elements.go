package dicom

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	dictionary "github.com/suyashkumar/dicom/pkg/tag"
)

// Element is one data element of a file, or an item of a sequence, as it lies there.
type Element struct {
	Tag     string `json:"tag"`               // "(0028,0010)"
	VR      string `json:"vr"`                // as written; in implicit form the dictionary's, "UN" where it has none. Empty for items
	Length  int64  `json:"length"`            // of the value, in bytes; -1 where a delimiter ends it
	Keyword string `json:"keyword,omitempty"` // the standard's name; "Item" for items
	Private bool   `json:"private,omitempty"`
	Depth   int    `json:"depth"` // 0 for the file's own; an item is one deeper than its sequence, its elements one more
	// Value is short: long ones are cut, and end with an ellipsis; what cannot be printed is escaped. It is empty where it is hidden.
	Value string `json:"value,omitempty"`
}

// shownValue is how many bytes of a value are shown.
const shownValue = 96

// Elements lists a file's data elements in their order: meta information, data set, and what lies in its sequences; of the pixel data, the
// element alone. Values are those of technical elements that are numbers, codes or the standard's UIDs, such as Rows and TransferSyntaxUID;
// with values, all. It keeps to the limits as ReadHeader does, here for the content of all sequences. With an error about the file, which is
// an *Error, come the elements before it.
func Elements(r io.ReaderAt, size int64, values bool, limits Limits) ([]Element, error) {
	s := getScanner(r, size, limits)
	defer s.release()
	l := lister{scanner: s, values: values}
	s.visit = func(h head) error { return l.add(h, false) }
	off, err := s.begin()
	s.visit = nil
	if err != nil {
		return l.all, err
	}
	for off < s.size {
		h, err := s.head(off, s.implicit)
		if err != nil {
			return l.all, err
		}
		if off, err = l.element(h, s.implicit); err != nil {
			return l.all, err
		}
	}
	return l.all, nil
}

// lister makes the list.
type lister struct {
	*scanner
	values bool
	signed bool // PixelRepresentation says so
	all    []Element
}

// element lists an element and what lies in it, and returns where it ends.
func (l *lister) element(h head, implicit bool) (int64, error) {
	if h.tag.group() == tagItem.group() {
		return 0, malformed(h.tag, h.value, "an item or a delimiter outside of a sequence")
	}
	if err := l.add(h, implicit); err != nil {
		return 0, err
	}
	vr := l.all[len(l.all)-1].VR
	switch {
	case h.tag == tagPixelData && h.length == undefinedLength:
		f := PixelFormat{Offset: h.value, Frames: 1}
		if err := l.followFragments(&f); err != nil {
			return 0, err
		}
		return f.Offset + f.Length, nil
	case h.length != undefinedLength && vr != "SQ":
		return h.value + int64(h.length), nil
	}
	return l.eachItem(h, implicit, func(item head, implicit bool) (int64, error) {
		if err := l.add(item, implicit); err != nil {
			return 0, err
		}
		return l.eachElement(item, implicit, func(h head) (int64, error) { return l.element(h, implicit) })
	})
}

// add lists one element without its content.
func (l *lister) add(h head, implicit bool) error {
	e := Element{Tag: h.tag.String(), VR: string(h.vr[:]), Length: int64(h.length), Depth: l.depth, Private: h.tag.group()%2 == 1}
	if h.length == undefinedLength {
		e.Length = -1
	}
	if h.tag == tagItem {
		e.VR, e.Keyword = "", "Item"
		l.all = append(l.all, e)
		return nil
	}
	known := ""
	e.Keyword, known = lookUp(h.tag)
	if implicit {
		if e.VR = known; e.VR == "" {
			e.VR = "UN"
		}
	}
	if h.length > 0 && h.length != undefinedLength && e.VR != "SQ" && (l.values || technical[h.tag]) {
		var err error
		if e.Value, err = l.value(h, e.VR); err != nil {
			return err
		}
		if h.tag == tagRepresent {
			l.signed = e.Value == "1"
		}
	}
	l.all = append(l.all, e)
	return nil
}

// technical are elements whose values tell how pixels are coded, or where they lie, and nothing of a patient, as long as they are what they
// should be.
var technical = map[tag]bool{
	tagMetaLength: true, tagMediaSOPClass: true, tagTransferSyntax: true,
	tagImageType: true, tagSOPClassUID: true, tagModality: true,
	tagThickness: true, tagKVP: true, tagSpacingBetween: true, tagGantryTilt: true, tagPatientPos: true,
	tagInstanceNumber: true, tagPosition: true, tagOrientation: true,
	tagSamples: true, tagPhotometric: true, tagFrames: true, tagRows: true, tagColumns: true, tagPixelSpacing: true,
	tagBitsAllocated: true, tagBitsStored: true, tagHighBit: true, tagRepresent: true, tagPadding: true,
	tagWindowCentre: true, tagWindowWidth: true, tagIntercept: true, tagSlope: true, tagRescaleType: true,
}

// lookUp finds an element in the standard's dictionary (PS3.6), keyword and VR, empty where it is not there. Several VRs have "or" between them.
func lookUp(t tag) (keyword, vr string) {
	switch {
	case t.element() == 0:
		return "GroupLength", "UL"
	case t.group()%2 == 1 && t.element() >= 0x10 && t.element() <= 0xff:
		return "PrivateCreator", "LO"
	case t.group()%2 == 1:
		return "", ""
	}
	if g := t.group(); g>>8 == 0x50 || g>>8 == 0x60 { // groups of curves and overlays repeat
		t = t & 0xff00ffff
	}
	info, err := dictionary.Find(dictionary.Tag{Group: t.group(), Element: t.element()})
	if err != nil {
		return "", ""
	}
	return info.Keyword, strings.Join(info.VRs, " or ")
}

// value returns the text of a value, cut and escaped, and "" for one of a technical element that is not what it should be.
func (l *lister) value(h head, vr string) (string, error) {
	n := int(min(h.length, shownValue))
	b, err := l.bytes(h.tag, h.value, n)
	if err != nil {
		return "", err
	}
	if vr == "US or SS" {
		if vr = "US"; l.signed {
			vr = "SS"
		}
	}
	text := ""
	switch vr {
	case "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT":
		text = l.numbers(b, vr)
	case "OB", "OW", "OF", "OD", "OL", "OV", "OB or OW":
		if !l.values {
			return "", nil
		}
		text = hex.EncodeToString(b[:min(len(b), 16)])
		n = min(n, 16)
	default:
		plain := trim(string(b))
		for len(b) == shownValue && plain != "" && !utf8.ValidString(plain) && utf8.ValidString(plain[:len(plain)-1]) {
			plain = plain[:len(plain)-1] // a letter that was cut
		}
		if !l.values && !presentable(plain, vr) {
			return "", nil
		}
		text = strconv.Quote(plain)
		text = text[1 : len(text)-1]
		text = strings.ReplaceAll(strings.ReplaceAll(text, `\\`, `\`), `\"`, `"`)
	}
	if int64(n) < int64(h.length) {
		text += "…"
	}
	return text, nil
}

// presentable tells whether the text of a technical element is a number, a code or a UID, and not something else in its place.
func presentable(text, vr string) bool {
	for _, part := range strings.Split(text, `\`) {
		switch part = trim(part); vr {
		case "DS", "IS":
			if _, ok := decimal(part); !ok && part != "" {
				return false
			}
		case "UI":
			if !strings.HasPrefix(part, "1.2.840.10008.") || !isUID(part) {
				return false
			}
		case "CS":
			if part != "" && CodeString(part) != part {
				return false
			}
		case "LO": // RescaleType, whose terms are codes (PS3.3, C.11.1.1.2)
			if part != "HU" && part != "US" && part != "OD" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// numbers writes binary numbers with backslashes between them, as texts have them.
func (l *lister) numbers(b []byte, vr string) string {
	width := map[string]int{"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "AT": 4, "UV": 8, "SV": 8, "FD": 8}[vr]
	var all []string
	for ; len(b) >= width; b = b[width:] {
		switch vr {
		case "US":
			all = append(all, strconv.Itoa(int(l.order.Uint16(b))))
		case "SS":
			all = append(all, strconv.Itoa(int(int16(l.order.Uint16(b)))))
		case "UL":
			all = append(all, strconv.FormatUint(uint64(l.order.Uint32(b)), 10))
		case "SL":
			all = append(all, strconv.Itoa(int(int32(l.order.Uint32(b)))))
		case "FL":
			all = append(all, fmt.Sprint(math.Float32frombits(l.order.Uint32(b))))
		case "AT":
			all = append(all, (tag(l.order.Uint16(b))<<16 | tag(l.order.Uint16(b[2:]))).String())
		case "UV":
			all = append(all, strconv.FormatUint(l.order.Uint64(b), 10))
		case "SV":
			all = append(all, strconv.FormatInt(int64(l.order.Uint64(b)), 10))
		case "FD":
			all = append(all, fmt.Sprint(math.Float64frombits(l.order.Uint64(b))))
		}
	}
	return strings.Join(all, `\`)
}
