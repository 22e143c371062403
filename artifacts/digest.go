package artifacts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Digest is a SHA-256 sum (FIPS 180-4): of an object's unencoded bytes, or of a recipe's canonical
// encoding. The zero value stands for "none".
type Digest [sha256.Size]byte

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest { return sha256.Sum256(b) }

// DigestOfJSON returns the digest of v's JSON: a name for a value that a recipe depends on and that is no
// artifact. Equal values have equal JSON as long as v holds no unordered marshaller of its own.
func DigestOfJSON(v any) (Digest, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return Digest{}, fmt.Errorf("artifacts: digest: %w", err)
	}
	return DigestOf(text), nil
}

// ParseDigest reads the 64 lower-case hexadecimal digits that String writes, and nothing else.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) || !isLowerHex(s) {
		return Digest{}, fmt.Errorf("artifacts: %.80q is not a digest: want 64 lower-case hexadecimal digits", s)
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err
}

// String returns 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 hexadecimal digits: for people; Store.Find leads back.
func (d Digest) Short() string { return hex.EncodeToString(d[:6]) }

// IsZero reports whether d stands for no digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes what String returns.
func (d Digest) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, d[:]), nil
}

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDigest(string(text))
	return err
}

func isLowerHex(s string) bool {
	for _, c := range []byte(s) {
		if !isHexDigit(c) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }
