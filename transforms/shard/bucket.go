package shard

import (
	"crypto/sha256"
	"encoding/binary"
)

// Bucket returns which of buckets shards a study belongs into, from 0. It depends on nothing but the two:
// the first 8 bytes, big endian, of SHA-256 over "cspine shard\x00" and the study's UID, modulo buckets.
// When buckets doubles, a study stays or moves up by the old number.
func Bucket(studyUID string, buckets int) int { return draw("cspine shard\x00", studyUID, buckets) }

// Fold returns a study's cross-validation fold, from 0: as Bucket, with the salt "cspine fold\x00", so
// that every shard has studies of every fold.
func Fold(studyUID string, folds int) int { return draw("cspine fold\x00", studyUID, folds) }

func draw(salt, studyUID string, n int) int {
	if n <= 1 {
		return 0
	}
	sum := sha256.Sum256([]byte(salt + studyUID))
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(n))
}

// Buckets returns into how many shards a data set of that many studies goes: the least power of two that
// keeps a shard at about 256 MiB. Since it is a power of two, few more studies change it never or double it.
func Buckets(task string, studies int) int {
	perStudy := 7 * 15 * 6 * 224 * 224 * 4 / 10 // 7 crops of 4.5 MB at 0.4 of their size
	if task == Segmentations {
		perStudy = 128 * 128 * 128 * 6 / 10 // a volume at half its size, a label map at little
	}
	n := 1
	for n*(256<<20/perStudy) < studies {
		n *= 2
	}
	return n
}
