// Package tlsalpn01 has the options of the challenge by TLS.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// ACMETLS1Protocol is the name of the protocol in TLS.
const ACMETLS1Protocol = "acme-tls/1"

// Option does nothing.
type Option struct{}

// SetDelay does nothing.
func SetDelay(time.Duration) Option { return Option{} }

// ChallengeBlocks always fails.
func ChallengeBlocks(string, string) ([]byte, []byte, error) { return nil, nil, acme.ErrNone }
