package view

import (
	"net/http"
	"strings"
	"testing"
)

func TestNobodyIsServedWithoutTheToken(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(drawnRun)
	for _, path := range []string{"/", "/runs/drawn/20260102T030405.000Z", "/compare", "/artifacts", "/datasets", "/trainings", "/assets/style.css", "/assets/niivue.js",
		"/slices/" + of.Volume + "/axial/3", "/volumes/" + of.Volume, "/live/a/b", "/nothing"} {
		for name, cookie := range map[string]string{"none": "", "wrong": "another"} {
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+path, nil)
			if cookie != "" {
				request.AddCookie(&http.Cookie{Name: b.cookie(), Value: cookie})
			}
			status, _, text := b.send(request)
			if status != http.StatusForbidden || !strings.Contains(text, "token") {
				t.Errorf("%s with %s token: %d", path, name, status)
			}
		}
	}
}

func TestTheTokenBecomesACookieAndLeavesTheAddress(t *testing.T) {
	b := open(t, Options{})
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/compare?a=x%2Fy&token=the-token", nil)
	status, header, _ := b.send(request)
	if status != http.StatusSeeOther || header.Get("Location") != "/compare?a=x%2Fy" {
		t.Fatalf("%d to %q", status, header.Get("Location"))
	}
	cookie := header.Get("Set-Cookie")
	for _, want := range []string{b.cookie() + "=the-token", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	request, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"//elsewhere.example/?token=the-token", nil)
	if _, header, _ = b.send(request); strings.HasPrefix(header.Get("Location"), "//") {
		t.Errorf("leads away, to %q", header.Get("Location"))
	}
}

func TestOnlyNamesOfLoopbackAreAnswered(t *testing.T) {
	b := open(t, Options{})
	for host, want := range map[string]int{"evil.example": 403, "evil.example:80": 403, "127.0.0.1.evil.example": 403, "10.0.0.7": 403, "": 200, "localhost": 403} {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.server.URL+"/", nil)
		request.AddCookie(&http.Cookie{Name: b.cookie(), Value: "the-token"})
		if host != "" {
			request.Host = host // of localhost without the port the cookie is another
		}
		if status, _, _ := b.send(request); status != want {
			t.Errorf("host %q: %d, want %d", host, status, want)
		}
	}
}

func TestNothingCanBeChanged(t *testing.T) {
	b := open(t, Options{})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		request, _ := http.NewRequestWithContext(t.Context(), method, b.server.URL+"/", nil)
		request.AddCookie(&http.Cookie{Name: b.cookie(), Value: "the-token"})
		if status, _, _ := b.send(request); status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, status)
		}
	}
}

func TestEveryAnswerCarriesItsRules(t *testing.T) {
	b := open(t, Options{})
	_, of := b.theRun(drawnRun)
	for _, path := range []string{"/", "/nothing", "/slices/" + of.Volume + "/axial/3", "/assets/style.css"} {
		_, header, _ := b.ask(path)
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %s", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestAddressesLeadNowhereElse(t *testing.T) {
	b := open(t, Options{NiiVue: t.TempDir()})
	r, of := b.theRun(drawnRun)
	for path, want := range map[string]int{
		"/assets/..%2fview.go":                            http.StatusNotFound,
		"/assets/%2e%2e/%2e%2e/etc/passwd":                http.StatusNotFound,
		"/assets/":                                        http.StatusNotFound,
		"/assets/niivue.js":                               http.StatusNotFound, // the folder has none
		"/runs/..%2f..%2fobjects/x":                       http.StatusNotFound,
		"/runs/drawn/..%2f..%2fcspine-store":              http.StatusNotFound,
		"/runs/drawn/none":                                http.StatusNotFound,
		"/runs/none/none/studies":                         http.StatusNotFound,
		r.Path() + "/studies/none":                        http.StatusNotFound,
		r.Path() + "/studies/..%2f..":                     http.StatusNotFound,
		"/artifacts/zzzzzz":                               http.StatusBadRequest,
		"/artifacts/abc":                                  http.StatusBadRequest,
		"/artifacts/0123456789abcdef":                     http.StatusNotFound,
		"/slices/..%2f..%2fx/axial/0":                     http.StatusBadRequest,
		"/slices/" + of.Volume + "/oblique/0":             http.StatusBadRequest,
		"/slices/" + of.Volume + "/axial/128":             http.StatusBadRequest,
		"/slices/" + of.Volume + "/axial/-1":              http.StatusBadRequest,
		"/slices/" + of.Volume + "/axial/x":               http.StatusBadRequest,
		"/slices/" + of.Boxes + "/axial/0":                http.StatusBadRequest, // no volume
		"/masks/" + of.Crops[0] + "/axial/0":              http.StatusBadRequest,
		"/crops/" + of.Volume:                             http.StatusBadRequest,
		"/crops/" + of.Crops[0] + "/15":                   http.StatusBadRequest,
		"/slices/" + strings.Repeat("0", 64) + "/axial/0": http.StatusNotFound,
		"/full/" + of.Index + "/0":                        http.StatusNotFound, // without --data
		"/volumes/" + of.Mask:                             http.StatusBadRequest,
		"/datasets/none":                                  http.StatusNotFound,
		"/datasets/..%2f..%2fruns":                        http.StatusNotFound,
		"/trainings/none":                                 http.StatusNotFound,
		"/trainings/..%2f..":                              http.StatusNotFound,
		"/compare?a=none/none&b=none/none":                http.StatusNotFound,
		"/compare/none?a=drawn/20260102T030405.000Z":      http.StatusNotFound,
		"/elsewhere":                                      http.StatusNotFound,
	} {
		status, _, text := b.ask(path)
		if status != want {
			t.Errorf("%s: %d, want %d: %.300s", path, status, want, text)
		}
		if strings.Contains(text, "package view") || strings.Contains(text, "root:") {
			t.Errorf("%s gives a file away", path)
		}
	}
}
