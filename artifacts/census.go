package artifacts

import (
	"bytes"
	"slices"
)

// census lists a store's records, or its objects, in the order of their digests. It takes 48 bytes for each: stores hold millions.
type census []listed

// listed is a record, by its recipe's digest, or an object.
type listed struct {
	digest Digest
	size   int64 // bytes in the store
	plain  bool  // an object with Identity
	marks  mark
}

// mark is a set of things that are known of what is listed.
type mark uint8

const (
	markNamed      mark = 1 << iota // something names it
	markDamaged                     // it is not what its name says
	markSuperseded                  // a manifest names it that goes
	markYoung                       // it is too young to go
)

func (l *listed) has(m mark) bool { return l.marks&m != 0 }

func (l *listed) encoding() Encoding {
	if l.plain {
		return Identity
	}
	return Zstd
}

func (l *listed) recordKey() string { return recordKey(l.digest) }

func (l *listed) objectKey() string { return objectKey(l.digest, l.encoding()) }

// addRecord lists a record. ok is false for a key that is none's.
func (c *census) addRecord(info Info, m mark) (ok bool) {
	recipe, ok := parseRecordKey(info.Key)
	if ok {
		*c = append(*c, listed{digest: recipe, size: info.Size, marks: m})
	}
	return ok
}

// addObject is addRecord for objects.
func (c *census) addObject(info Info, m mark) (ok bool) {
	d, e, ok := parseObjectKey(info.Key)
	if ok {
		*c = append(*c, listed{digest: d, size: info.Size, plain: e == Identity, marks: m})
	}
	return ok
}

// sort must follow the last add, and come before find and mark.
func (c census) sort() {
	slices.SortFunc(c, func(a, b listed) int { return bytes.Compare(a.digest[:], b.digest[:]) })
}

// find returns what is listed under a digest: nothing, one thing, or an object in two encodings.
func (c census) find(d Digest) census {
	from, ok := slices.BinarySearchFunc(c, d, func(l listed, d Digest) int { return bytes.Compare(l.digest[:], d[:]) })
	if !ok {
		return nil
	}
	to := from
	for to < len(c) && c[to].digest == d {
		to++
	}
	return c[from:to]
}

// findEncoded returns the object with a digest in one encoding, or nil.
func (c census) findEncoded(d Digest, e Encoding) *listed {
	of := c.find(d)
	for i := range of {
		if of[i].encoding() == e {
			return &of[i]
		}
	}
	return nil
}

// hasSize reports whether an object is listed in this size, in whatever encoding.
func (c census) hasSize(d Digest, size int64) bool {
	return slices.ContainsFunc(c.find(d), func(l listed) bool { return l.size == size })
}

// mark marks what is listed under a digest, if anything is.
func (c census) mark(d Digest, m mark) {
	of := c.find(d)
	for i := range of {
		of[i].marks |= m
	}
}
