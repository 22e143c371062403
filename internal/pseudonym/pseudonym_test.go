package pseudonym

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func key(t *testing.T, secret []byte) (*Key, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(file)
}

func must(t *testing.T, secret string) *Key {
	t.Helper()
	k, err := key(t, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAPseudonymFollowsFromUIDAndKey(t *testing.T) {
	a, again, b := must(t, strings.Repeat("a", 32)), must(t, strings.Repeat("a", 32)), must(t, strings.Repeat("b", 32))
	const uid = "1.2.826.0.1.3680043.10"
	if a.UID(uid) != again.UID(uid) || a.ID() != again.ID() || a.Digest(uid) != again.Digest(uid) {
		t.Error("equal keys give different pseudonyms")
	}
	if a.UID(uid) == b.UID(uid) || a.ID() == b.ID() || a.Digest(uid) == b.Digest(uid) {
		t.Error("different keys give equal pseudonyms")
	}
	if a.UID(uid) == a.UID(uid+"1") {
		t.Error("different UIDs have one pseudonym")
	}
	// Pseudonyms join what was made at different times: they must never change.
	if got := a.UID(uid); got != "2.25.13859301529975810478910340953994514766" {
		t.Errorf("the pseudonym is %s", got)
	}
}

func TestAPseudonymIsAUID(t *testing.T) {
	k := must(t, strings.Repeat("k", 32))
	for i := range 1000 {
		uid := k.UID(fmt.Sprint(i))
		decimal, ok := strings.CutPrefix(uid, "2.25.")
		n, isNumber := new(big.Int).SetString(decimal, 10)
		if !ok || !isNumber || n.String() != decimal || n.BitLen() > 128 || len(uid) > 64 {
			t.Fatalf("%s is no UID of a UUID", uid)
		}
		uuid := n.FillBytes(make([]byte, 16))
		if uuid[6]>>4 != 8 || uuid[8]>>6 != 2 {
			t.Fatalf("%x is no UUID of version 8", uuid)
		}
	}
}

func TestNoKeyReplacesNothing(t *testing.T) {
	var k *Key
	if k.UID("1.2.3") != "1.2.3" || k.Digest("abc") != "abc" {
		t.Error("a nil key replaces something")
	}
}

func TestAKeyMustBeLongEnough(t *testing.T) {
	for n, want := range map[int]string{0: "has 0 bytes, at least 32", 31: "has 31 bytes", 32: "", 4096: "", 4097: "is it a key?"} {
		_, err := key(t, bytes.Repeat([]byte{'x'}, n))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%d bytes: %v, want %q", n, err, want)
		case err != nil && n > 0 && strings.Contains(err.Error(), "xx"):
			t.Errorf("%d bytes: the error shows the key: %v", n, err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "the key file") {
		t.Errorf("no file: %v", err)
	}
}

func TestAKeyIsNotPrinted(t *testing.T) {
	const secret = "correct horse battery staple, many of them"
	k := must(t, secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, k); strings.Contains(text, "horse") || strings.Contains(text, "0x63") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
