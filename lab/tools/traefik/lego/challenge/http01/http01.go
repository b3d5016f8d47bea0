// Package http01 has the options of the challenge by HTTP.
package http01

import "time"

// PathPrefix is where the answer would be.
const PathPrefix = "/.well-known/acme-challenge/"

// Option does nothing.
type Option struct{}

// SetDelay does nothing.
func SetDelay(time.Duration) Option { return Option{} }
