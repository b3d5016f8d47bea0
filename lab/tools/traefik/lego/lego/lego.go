// Package lego has a client that can do nothing.
package lego

import (
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is Traefik's default authority.
const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Config is what a client is made of.
type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate struct{ Timeout time.Duration }
}

// NewConfig is an empty one.
func NewConfig(any) *Config { return &Config{} }

// Client can do nothing.
type Client struct {
	Certificate  certificate.Certifier
	Challenge    Solvers
	Registration registration.Registrar
}

// NewClient always fails.
func NewClient(*Config) (*Client, error) { return nil, acme.ErrNone }

// CreateCertPool always fails.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, acme.ErrNone }

// Solvers takes no challenge.
type Solvers struct{}

// SetDNS01Provider always fails.
func (Solvers) SetDNS01Provider(challenge.Provider, ...dns01.Option) error { return acme.ErrNone }

// SetHTTP01Provider always fails.
func (Solvers) SetHTTP01Provider(challenge.Provider, ...http01.Option) error { return acme.ErrNone }

// SetTLSALPN01Provider always fails.
func (Solvers) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.Option) error {
	return acme.ErrNone
}
