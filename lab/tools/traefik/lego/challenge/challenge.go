// Package challenge has the interfaces that Traefik implements.
package challenge

import (
	"context"
	"time"
)

// Provider presents the answer to a challenge.
type Provider interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}

// ProviderTimeout says how long the answer may take.
type ProviderTimeout interface {
	Provider
	Timeout() (timeout, interval time.Duration)
}
