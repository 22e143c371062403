package artifacts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
)

// An object whose Content.Frames has a name carries a seal: a skippable frame (RFC 8878, section 3.1.2), which every decoder passes over, behind its
// other frames. It holds the SHA-256 sum of the object's digest, these frames and the name, and then the name. Who finds the seal right knows that the
// frames are those that were made of this object's content, without unpacking them.
const (
	sealMagic = 0x184D2A5C
	sealSize  = 4 + 4 + sha256.Size // and the name
)

// seal returns the seal of an object's frames.
func seal(frames []byte, d Digest, name string) []byte {
	h := sha256.New()
	h.Write(d[:])
	h.Write(frames)
	h.Write([]byte(name))
	b := binary.LittleEndian.AppendUint32(nil, sealMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.Size()+len(name)))
	return append(h.Sum(b), name...)
}

// unsealed returns what stands before a right seal of this name, or nil.
func unsealed(stored []byte, d Digest, name string) []byte {
	n := len(stored) - sealSize - len(name)
	if n <= 0 || !bytes.Equal(stored[n:], seal(stored[:n], d, name)) {
		return nil
	}
	return stored[:n]
}

// Frames returns the object with digest d as Content.Encode packed it, if Content.Frames had this name: zstd frames that hold exactly the content, and are
// whole, which their seal vouches for. Else frames is nil, and data or the error is what Get returns. The caller owns either. A seal guards against damage of any kind,
// but not, as Get does, against somebody who writes seals.
func (s *Store) Frames(ctx context.Context, d Digest, name string) (frames, data []byte, err error) {
	if stored, err := s.driver.Read(ctx, objectKey(d, Zstd)); err == nil {
		if frames := unsealed(stored, d, name); frames != nil {
			return frames, nil, nil
		}
		if data, err := verify(stored, d, Zstd); err == nil {
			return nil, data, nil
		}
	}
	data, err = s.Get(ctx, d) // in another encoding, in the store behind this one, or why not
	return nil, data, err
}
