// Package ext stands in for a module that Traefik keeps inside its own repository, which no module proxy has: the
// places where a vendor's build adds fields to the configuration. Nothing is added here.
package ext

// HTTP adds nothing to the HTTP configuration.
type HTTP struct{}

// Router adds nothing to a router.
type Router struct{}
