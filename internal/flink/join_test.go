package flink

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jar writes a jar of files, and returns its path.
func jar(t *testing.T, dir, name string, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, content := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, out.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// joined runs deploy/flink/join.py.
func joined(t *testing.T, jars ...string) (file []byte, said string, err error) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is missing: it joins the job server's jars")
	}
	out := filepath.Join(t.TempDir(), "out.jar")
	text, err := exec.Command(python, append([]string{"../../deploy/flink/join.py", out}, jars...)...).CombinedOutput()
	if err != nil {
		return nil, string(text), err
	}
	file, err = os.ReadFile(out)
	return file, string(text), err
}

func TestJarsAreJoinedWithoutLoss(t *testing.T) {
	dir := t.TempDir()
	a := jar(t, dir, "a.jar", map[string]string{"META-INF/MANIFEST.MF": "Created-By: a", "p/A.class": "A", "p/Both.class": "same", "META-INF/services/p.Service": "p.A", "LICENSE": "of a",
		"META-INF/SIGNED.RSA": "x", "module-info.class": "x", "META-INF/versions/9/module-info.class": "x", "META-INF/maven/p/pom.xml": "x"})
	b := jar(t, dir, "b.jar", map[string]string{"META-INF/MANIFEST.MF": "Created-By: b", "p/B.class": "B", "p/Both.class": "same", "META-INF/services/p.Service": "p.B\n", "META-INF/NOTICE.txt": "of b",
		"META-INF/versions/9/p/B.class": "newer B", "p/note.txt": "b's"})
	file, said, err := joined(t, a, b)
	if err != nil {
		t.Fatal(err, said)
	}
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		got[f.Name] = string(text)
	}
	want := map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nMulti-Release: true\r\n\r\n", "p/A.class": "A", "p/B.class": "B", "p/Both.class": "same",
		"META-INF/services/p.Service": "p.A\np.B\n", "META-INF/licenses/a.jar/LICENSE": "of a", "META-INF/licenses/b.jar/NOTICE.txt": "of b",
		"META-INF/versions/9/p/B.class": "newer B", "p/note.txt": "b's"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again, _, err := joined(t, b, a); err != nil || !bytes.Equal(again, file) {
		t.Errorf("joined in another order the file differs: %v", err)
	}
}

func TestJarsWhoseClassesDifferAreNotJoined(t *testing.T) {
	dir := t.TempDir()
	a, b := jar(t, dir, "a.jar", map[string]string{"p/A.class": "one"}), jar(t, dir, "b.jar", map[string]string{"p/A.class": "other"})
	if _, said, err := joined(t, a, b); err == nil || !strings.Contains(said, "p/A.class") || !strings.Contains(said, "b.jar") {
		t.Errorf("%v: %s", err, said)
	}
}
