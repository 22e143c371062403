package sandbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// checkSize compares what an image says of itself with what is expected. An image that says it in no place where encoders put it is malformed.
func checkSize(codec Codec, data []byte, im *Image) error {
	of := jpegSize
	if codec == JPEG2000 || codec == HTJ2K {
		of = codestreamSize
	}
	rows, columns, components, ok := of(data)
	switch {
	case !ok:
		return fmt.Errorf("%w: no frame header that is read", ErrMalformed)
	case rows != int64(im.Rows) || columns != int64(im.Columns) || components != 1:
		return fmt.Errorf("%w: the image has %d rows x %d columns x %d components, the header says %d x %d x 1", ErrMalformed, rows, columns, components, im.Rows, im.Columns)
	}
	return nil
}

// An image may have so many tiles, or one for each smallestTile pixels.
const (
	mostTiles    = 1024
	smallestTile = 32 * 32
)

// codestreamSize reads the SIZ segment of a JPEG 2000 codestream (ITU-T T.800, A.5.1), which may lie in a file of boxes.
func codestreamSize(data []byte) (rows, columns, components int64, ok bool) {
	at := bytes.Index(data[:min(len(data), 64<<10)], []byte{0xff, 0x4f, 0xff, 0x51})
	if at < 0 || len(data)-at < 42 {
		return 0, 0, 0, false
	}
	siz := data[at+4:]
	be := binary.BigEndian
	x1, y1, x0, y0 := int64(be.Uint32(siz[4:])), int64(be.Uint32(siz[8:])), int64(be.Uint32(siz[12:])), int64(be.Uint32(siz[16:]))
	rows, columns, components = y1-y0, x1-x0, int64(be.Uint16(siz[36:]))
	width, height := int64(be.Uint32(siz[20:])), int64(be.Uint32(siz[24:]))
	left, top := int64(be.Uint32(siz[28:])), int64(be.Uint32(siz[32:]))
	if width < 1 || height < 1 || left > x0 || top > y0 {
		return 0, 0, 0, false
	}
	tiles := ((x1 - left + width - 1) / width) * ((y1 - top + height - 1) / height)
	return rows, columns, components, tiles <= max(mostTiles, rows*columns/smallestTile)
}

// jpegSize reads the frame header of a JPEG image (ITU-T T.81, B.2.2): baseline, or extended and sequential. Progressive ones, whose scans
// each go over all of the image, have no transfer syntax any more.
func jpegSize(data []byte) (rows, columns, components int64, ok bool) {
	if !bytes.HasPrefix(data, []byte{0xff, 0xd8}) {
		return 0, 0, 0, false
	}
	be := binary.BigEndian
	for data = data[2:]; len(data) >= 4 && data[0] == 0xff; {
		marker := data[1]
		if marker == 0xff { // a fill byte
			data = data[1:]
			continue
		}
		n := int(be.Uint16(data[2:]))
		if n < 2 || n > len(data)-2 {
			return 0, 0, 0, false
		}
		switch marker {
		case 0xc0, 0xc1:
			if n < 8 {
				return 0, 0, 0, false
			}
			return int64(be.Uint16(data[5:])), int64(be.Uint16(data[7:])), int64(data[9]), true
		case 0xc2, 0xc3, 0xd9, 0xda: // other processes; the image's end, or its first scan
			return 0, 0, 0, false
		}
		data = data[2+n:]
	}
	return 0, 0, 0, false
}
