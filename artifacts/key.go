package artifacts

import (
	"fmt"
	"strings"
)

// Where everything lies in a store. <digest> is 64 hexadecimal digits, ab its first two.
//
//	cspine-store.json          the layout marker, written once
//	objects/ab/<digest>.zst    contents, never changed; without .zst for Identity
//	records/ab/<digest>.json   records, by recipe digest
//	runs/<name>/…              named files: what belongs to a run
//	datasets/<name>/…          named files: what belongs to a data set
//	trainings/<name>/…         named files: where a training is that is not done
//	predictions/<name>/…       named files: what a run answers
//	leases/…                   who is at work (see Lease)
//	tmp/                       unfinished files, on file systems only
const (
	markerKey     = "cspine-store.json"
	objectsFolder = "objects"
	recordsFolder = "records"
	leasesFolder  = "leases"
	tempFolder    = "tmp"
)

// namedFolders is where PutNamed and PublishFile may write.
var namedFolders = [...]string{"runs", "datasets", "trainings", "predictions"}

func objectKey(d Digest, e Encoding) string {
	name := d.String()
	return objectsFolder + "/" + name[:2] + "/" + name + e.suffix()
}

func recordKey(recipe Digest) string {
	name := recipe.String()
	return recordsFolder + "/" + name[:2] + "/" + name + ".json"
}

// parseObjectKey undoes objectKey.
func parseObjectKey(key string) (d Digest, e Encoding, ok bool) {
	for _, e := range encodings {
		name, found := strings.CutSuffix(key[strings.LastIndexByte(key, '/')+1:], e.suffix())
		if d, err := ParseDigest(name); found && err == nil && key == objectKey(d, e) {
			return d, e, true
		}
	}
	return Digest{}, "", false
}

// parseRecordKey undoes recordKey.
func parseRecordKey(key string) (recipe Digest, ok bool) {
	name, found := strings.CutSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")
	d, err := ParseDigest(name)
	return d, found && err == nil && key == recordKey(d)
}

// isContent reports whether key is an object's or a record's: what nobody should edit.
func isContent(key string) bool {
	return strings.HasPrefix(key, objectsFolder+"/") || strings.HasPrefix(key, recordsFolder+"/")
}

// checkNamedKey refuses every key that could leave the named folders, on whatever driver, or that two
// drivers would write differently. Its errors wrap ErrKey.
func checkNamedKey(key string) error {
	const maxKey, maxPart = 900, 200 // services take 1024 bytes, file systems 255 a name
	parts := strings.Split(key, "/")
	if len(parts) < 2 || !isNamedFolder(parts[0]) {
		return fmt.Errorf("artifacts: %w %.80q: it must begin with %s/", ErrKey, key, strings.Join(namedFolders[:], "/ or "))
	}
	if len(key) > maxKey {
		return fmt.Errorf("artifacts: %w %.80q…: longer than %d bytes", ErrKey, key, maxKey)
	}
	for _, part := range parts {
		if part == "" || part[0] == '.' || len(part) > maxPart || !isPortable(part) {
			return fmt.Errorf("artifacts: %w %.80q: between slashes go 1 to %d of A-Z a-z 0-9 . _ = + @ -, the first no dot",
				ErrKey, key, maxPart)
		}
	}
	return nil
}

func isNamedFolder(name string) bool {
	for _, f := range namedFolders {
		if name == f {
			return true
		}
	}
	return false
}

func isPortable(part string) bool {
	for _, c := range []byte(part) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("._=+@-", rune(c)) {
			return false
		}
	}
	return true
}
