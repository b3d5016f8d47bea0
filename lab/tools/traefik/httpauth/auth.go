// Package auth stands in for a module that not every module proxy has: Traefik's middlewares for passwords name it. The
// lab uses none of them; here nobody's password is right.
package auth

import "net/http"

// SecretProvider gives the secret of a user.
type SecretProvider func(user, realm string) string

// BasicAuth lets nobody in.
type BasicAuth struct {
	Realm   string
	Secrets SecretProvider
}

// RequireAuth refuses.
func (*BasicAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// CheckSecret is always false.
func CheckSecret(string, string) bool { return false }

// DigestAuth lets nobody in.
type DigestAuth struct{}

// NewDigestAuthenticator gives one that lets nobody in.
func NewDigestAuthenticator(string, SecretProvider) *DigestAuth { return &DigestAuth{} }

// CheckAuth knows nobody.
func (*DigestAuth) CheckAuth(*http.Request) (string, *string) { return "", nil }

// RequireAuth refuses.
func (*DigestAuth) RequireAuth(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// RequireAuthStale refuses.
func (*DigestAuth) RequireAuthStale(w http.ResponseWriter, _ *http.Request) { refuse(w) }

// DigestAuthParams is empty.
func DigestAuthParams(string) map[string]string { return nil }

func refuse(w http.ResponseWriter) {
	http.Error(w, "this build of Traefik checks no passwords", http.StatusUnauthorized)
}
