package view

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// What keeps others out: any program of this machine, and any page that its browser shows, can send requests to a server on loopback.
//
//   - The token comes once in the address (?token=…), and then as a cookie that scripts can't read and other sites' pages can't make a browser
//     send (SameSite=Strict). The address without it is what stays in the history.
//   - The Host must be a name of loopback, so that no other site's name can be pointed here (DNS rebinding).
//   - Nothing but GET and HEAD is answered: nothing changes by a request.
//   - Pages may load nothing from elsewhere and run no script of their text (Content-Security-Policy), and no other page may frame them.

const tokenParameter = "token"

// policy is what pages may do.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

func newToken() string {
	var b [18]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (s *Server) gate(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case !onLoopback(r.Host):
		http.Error(w, "this page answers under localhost only", http.StatusForbidden)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "nothing here can be changed", http.StatusMethodNotAllowed)
		return
	}
	if given := r.URL.Query().Get(tokenParameter); given != "" && s.known(given) {
		http.SetCookie(w, &http.Cookie{Name: s.cookieName(r), Value: s.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		to := *r.URL
		query := to.Query()
		query.Del(tokenParameter)
		to.RawQuery, to.Host, to.Scheme = query.Encode(), "", ""
		http.Redirect(w, r, "/"+strings.TrimLeft(to.RequestURI(), "/"), http.StatusSeeOther)
		return
	}
	if c, err := r.Cookie(s.cookieName(r)); err != nil || !s.known(c.Value) {
		s.problem(w, r, &problemError{status: http.StatusForbidden, what: "this page wants its token",
			remedy: "open the address that 'cspine view' printed, with all that stands behind the question mark"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// cookieName holds the port: cookies are shared by all ports of a host, and there may be several servers.
func (s *Server) cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		port = "80"
	}
	return fmt.Sprintf("cspine-view-%s", port)
}

func (s *Server) known(token string) bool {
	given, ours := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.token))
	return subtle.ConstantTimeCompare(given[:], ours[:]) == 1
}

// onLoopback tells whether a Host header names this machine as only itself can.
func onLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
