// Package dns01 has the options of the challenge by DNS.
package dns01

import (
	"strings"
	"time"
)

// Option does nothing.
type Option struct{}

// Options names resolvers.
type Options struct{ RecursiveNameservers []string }

// Client does nothing.
type Client struct{}

// NewClient gives a client that does nothing.
func NewClient(*Options) *Client { return &Client{} }

// SetDefaultClient does nothing.
func SetDefaultClient(*Client) {}

// CondOptions does nothing.
func CondOptions(bool, ...Option) Option { return Option{} }

// DisableAuthoritativeNssPropagationRequirement does nothing.
func DisableAuthoritativeNssPropagationRequirement() Option { return Option{} }

// DisableRecursiveNSsPropagationRequirement does nothing.
func DisableRecursiveNSsPropagationRequirement() Option { return Option{} }

// PropagationWait does nothing.
func PropagationWait(time.Duration, bool) Option { return Option{} }

// UnFqdn is the name without the dot at its end.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
