package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cspine/cspine/artifacts"
)

func TestViewServesUntilItIsEnded(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	store, err := artifacts.Open(t.Context(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, out := io.Pipe()
	root := newRoot(out, io.Discard)
	root.SetArgs([]string{"view", "--store", folder})
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	lines := bufio.NewScanner(said)
	if !lines.Scan() {
		t.Fatal("it says nothing", <-ended)
	}
	address := lines.Text()
	go func() {
		for lines.Scan() {
		}
	}()
	ask := func(client *http.Client, address string) (int, string) {
		t.Helper()
		answer, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	bare, _, _ := strings.Cut(address, "?")
	if status, _ := ask(http.DefaultClient, bare); status != http.StatusForbidden {
		t.Errorf("%s without its token: %d", bare, status)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := ask(&http.Client{Jar: jar}, address); status != http.StatusOK || !strings.Contains(text, "has no run that ended") {
		t.Errorf("%s: %d\n%s", address, status, text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
