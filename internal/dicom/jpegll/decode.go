package jpegll

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// Decode decodes one image. When its frame header is read it asks for room, once: samples are written there, [rows, columns, components],
// and the caller keeps it. An error of room's is returned as it is; where the room is not exactly the image's the error wraps ErrSize. After
// any other error its contents are undefined. Bytes behind the last scan are ignored, so that DICOM's padding does no harm.
//
// Decode may be called from several goroutines.
func Decode(data []byte, room func(Frame) ([]uint16, error)) (Frame, error) {
	var dst []uint16
	d := decoderPool.Get().(*decoder)
	defer d.release()
	d.reset(data)
	for {
		marker, segment, err := d.next()
		if err != nil {
			return d.frame, err
		}
		switch {
		case isFrameHeader(marker):
			if err := d.readFrame(marker, segment); err != nil {
				return d.frame, err
			}
			if dst, err = room(d.frame); err != nil {
				return d.frame, err
			}
			if len(dst) != d.frame.Samples() {
				return d.frame, fmt.Errorf("%w: %d rows x %d columns x %d components, room for %d samples",
					ErrSize, d.frame.Rows, d.frame.Columns, d.frame.Components, len(dst))
			}
		case marker == markerDHT:
			if err := d.readTables(segment); err != nil {
				return d.frame, err
			}
		case marker == markerDRI:
			if len(segment) != 2 {
				return d.frame, fmt.Errorf("%w: restart interval of %d bytes", ErrMalformed, len(segment))
			}
			d.restart = int(binary.BigEndian.Uint16(segment))
		case marker == markerDNL:
			return d.frame, fmt.Errorf("%w: a line count behind the scan (DNL)", ErrUnsupported)
		case marker == markerSOS:
			if err := d.readScan(segment, dst); err != nil {
				return d.frame, err
			}
			if d.seen == 1<<d.frame.Components-1 {
				return d.frame, nil
			}
		case marker == markerEOI:
			return d.frame, fmt.Errorf("%w: the image ends before its last component", ErrTruncated)
		}
	}
}

// decoder is the state of one image. It is pooled for its tables and its scratch memory.
type decoder struct {
	data    []byte
	at      int
	frame   Frame // zero before its header
	ids     [4]byte
	defined [4]bool // destinations of Huffman tables that were given
	tables  [4]huffman
	restart int // samples of one component between restart markers, 0 for none
	seen    int // components decoded, one bit each

	bits []byte   // the scan's bytes without stuffing, up to the next marker
	rows []uint16 // two rows of a scan that has not all components
}

var decoderPool = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) reset(data []byte) {
	d.data, d.at, d.frame, d.restart, d.seen = data, 0, Frame{}, 0, 0
	d.defined = [4]bool{}
}

func (d *decoder) release() {
	d.data = nil
	decoderPool.Put(d)
}

// next returns the next marker and its segment without the length. SOI and fill bytes are stepped over.
func (d *decoder) next() (marker byte, segment []byte, err error) {
	for {
		if d.at+2 > len(d.data) {
			return 0, nil, fmt.Errorf("%w: no marker at byte %d", ErrTruncated, d.at)
		}
		if d.data[d.at] != 0xff {
			return 0, nil, fmt.Errorf("%w: no marker at byte %d", ErrMalformed, d.at)
		}
		marker = d.data[d.at+1]
		if d.at == 0 && marker != markerSOI {
			return 0, nil, fmt.Errorf("%w: does not start with SOI", ErrMalformed)
		}
		if marker == 0xff {
			d.at++
			continue
		}
		d.at += 2
		if marker == markerEOI {
			return marker, nil, nil
		}
		if marker == markerSOI || marker == markerTEM || marker >= markerRST0 && marker <= markerRST7 {
			continue
		}
		if d.at+2 > len(d.data) {
			return 0, nil, fmt.Errorf("%w: marker %02x at byte %d without its segment", ErrTruncated, marker, d.at-2)
		}
		n := int(binary.BigEndian.Uint16(d.data[d.at:]))
		if n < 2 || marker == 0 {
			return 0, nil, fmt.Errorf("%w: marker %02x of %d bytes at byte %d", ErrMalformed, marker, n, d.at-2)
		}
		if n > len(d.data)-d.at {
			return 0, nil, fmt.Errorf("%w: marker %02x at byte %d reaches beyond the end", ErrTruncated, marker, d.at-2)
		}
		segment = d.data[d.at+2 : d.at+n]
		d.at += n
		return marker, segment, nil
	}
}

func isFrameHeader(marker byte) bool {
	return marker >= 0xc0 && marker <= 0xcf && marker != markerDHT && marker != markerJPG && marker != markerDAC
}

func (d *decoder) readFrame(marker byte, s []byte) error {
	if marker != markerSOF3 {
		return fmt.Errorf("%w: process of frame marker %02x is not lossless Huffman", ErrUnsupported, marker)
	}
	if d.frame.Rows != 0 {
		return fmt.Errorf("%w: two frame headers", ErrMalformed)
	}
	if len(s) < 6 || len(s) != 6+3*int(s[5]) {
		return fmt.Errorf("%w: frame header of %d bytes", ErrMalformed, len(s))
	}
	f := Frame{
		Precision: int(s[0]), Components: int(s[5]),
		Rows: int(binary.BigEndian.Uint16(s[1:])), Columns: int(binary.BigEndian.Uint16(s[3:])),
	}
	switch {
	case f.Rows == 0:
		return fmt.Errorf("%w: a line count behind the scan (DNL)", ErrUnsupported)
	case f.Columns == 0 || f.Precision < 2 || f.Precision > 16 || f.Components < 1:
		return fmt.Errorf("%w: %d rows x %d columns x %d components of %d bits", ErrMalformed, f.Rows, f.Columns, f.Components, f.Precision)
	case f.Components > 4:
		return fmt.Errorf("%w: %d components", ErrUnsupported, f.Components)
	}
	for c := range f.Components {
		d.ids[c] = s[6+3*c]
		if factors := s[7+3*c]; factors != s[7] {
			return fmt.Errorf("%w: subsampled components", ErrUnsupported)
		}
	}
	d.frame = f
	return nil
}

func (d *decoder) readTables(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 {
			return fmt.Errorf("%w: a Huffman table of %d bytes", ErrMalformed, len(s))
		}
		class, destination, n := s[0]>>4, s[0]&15, 0
		for _, c := range s[1:17] {
			n += int(c)
		}
		if class > 1 || destination > 3 || len(s) < 17+n {
			return fmt.Errorf("%w: Huffman table class %d, destination %d, %d codes", ErrMalformed, class, destination, n)
		}
		if class == 0 { // class 1 is of no use to this process
			if n > categories {
				return fmt.Errorf("%w: a Huffman table of %d codes", ErrMalformed, n)
			}
			d.tables[destination].set(s[1:17], s[17:17+n])
			d.defined[destination] = true
		}
		s = s[17+n:]
	}
	return nil
}

// scan is one scan header (B.2.3).
type scan struct {
	components []int // indices into the frame's
	tables     []*huffman
	predictor  int
	shift      int // the point transform
}

// readScan reads a scan's header and decodes its components into dst.
func (d *decoder) readScan(s []byte, dst []uint16) error {
	if d.frame.Rows == 0 {
		return fmt.Errorf("%w: a scan before the frame header", ErrMalformed)
	}
	if len(s) < 1 || len(s) != 4+2*int(s[0]) || int(s[0]) < 1 || int(s[0]) > d.frame.Components {
		return fmt.Errorf("%w: scan header of %d bytes", ErrMalformed, len(s))
	}
	var components [4]int
	var tables [4]*huffman
	n := int(s[0])
	for i := range n {
		component := -1
		for c := range d.frame.Components {
			if d.ids[c] == s[1+2*i] && d.seen>>c&1 == 0 {
				component = c
				break
			}
		}
		table := s[2+2*i] >> 4
		if component < 0 || table > 3 || !d.defined[table] {
			return fmt.Errorf("%w: a scan names a component or a table that is not there", ErrMalformed)
		}
		d.seen |= 1 << component
		components[i], tables[i] = component, &d.tables[table]
		if err := tables[i].build(); err != nil {
			return err
		}
	}
	sc := scan{
		components: components[:n], tables: tables[:n],
		predictor: int(s[1+2*n]), shift: int(s[3+2*n] & 15),
	}
	if sc.predictor < 1 || sc.predictor > 7 || sc.shift >= d.frame.Precision {
		return fmt.Errorf("%w: predictor %d, point transform %d", ErrMalformed, sc.predictor, sc.shift)
	}
	if d.restart%d.frame.Columns != 0 {
		return fmt.Errorf("%w: a restart interval of %d samples is not a whole number of lines", ErrMalformed, d.restart)
	}
	return d.decodeScan(&sc, dst)
}
