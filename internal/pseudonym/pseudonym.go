// Package pseudonym replaces the identifiers of studies by others that tell nothing about them without a key.
//
// Invariants:
//   - The same identifier and the same key give the same pseudonym, in every process and at any time; another key gives another.
//   - A pseudonym is a UID (PS3.5, B.2), so that whatever takes a StudyInstanceUID takes it.
//   - A key must not be printed, logged or written. What may be told of it is its ID.
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"os"
)

// The bytes that a key's file may have. Fewer can be guessed; more is some other file, given by mistake.
const (
	Shortest = 32
	Longest  = 4096
)

// Key is a secret that makes pseudonyms. A nil Key replaces nothing.
type Key struct{ secret []byte }

// Read reads a key: all bytes of a file, as they are.
func Read(file string) (*Key, error) {
	const how = "head -c %d /dev/urandom > keyfile makes one"
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("the key file: %w; "+how, err, Shortest)
	}
	defer f.Close()
	secret, err := io.ReadAll(io.LimitReader(f, Longest+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the key file: %w", err)
	case len(secret) < Shortest:
		return nil, fmt.Errorf("the key file %s has %d bytes, at least %d are needed; "+how, file, len(secret), Shortest, Shortest)
	case len(secret) > Longest:
		return nil, fmt.Errorf("the key file %s has more than %d bytes: is it a key?", file, Longest)
	}
	return &Key{secret}, nil
}

// String keeps the secret out of whatever prints a key.
func (k *Key) String() string { return "a key of pseudonyms" }

// GoString does the same for %#v.
func (k *Key) GoString() string { return k.String() }

// ID tells keys apart, and tells nothing of them.
func (k *Key) ID() string { return hex.EncodeToString(k.sum("id", "")) }

// UID returns the pseudonym of a study's UID, or of the name of a folder that stands for one.
func (k *Key) UID(uid string) string {
	if k == nil {
		return uid
	}
	uuid := k.sum("uid", uid)[:16]
	uuid[6] = uuid[6]&0x0f | 0x80 // version 8: of a kind of our own (RFC 9562, 5.8)
	uuid[8] = uuid[8]&0x3f | 0x80
	return "2.25." + new(big.Int).SetBytes(uuid).String()
}

// Digest replaces a digest of what could be guessed, such as of a file's name, size and date, by one that only the key's owner can make.
func (k *Key) Digest(digest string) string {
	if k == nil {
		return digest
	}
	return hex.EncodeToString(k.sum("digest", digest))
}

// sum is a keyed hash. Texts of different kinds never have the same.
func (k *Key) sum(kind, text string) []byte {
	h := hmac.New(sha256.New, k.secret)
	fmt.Fprintf(h, "cspine %s\x00%s", kind, text)
	return h.Sum(nil)
}
