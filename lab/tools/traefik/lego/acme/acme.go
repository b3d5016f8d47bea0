// Package acme stands in for a client of certificate authorities, and so do the others of this module: Traefik names
// them in its configuration, but the real one needs the software kits of a hundred DNS vendors, which not every module
// proxy has. The lab asks for no certificate; whoever does is told so.
package acme

import "errors"

// ErrNone is what every request for a certificate ends with.
var ErrNone = errors.New("this build of Traefik cannot ask for certificates")

// Account is empty.
type Account struct{}

// ExtendedAccount is an account with its address.
type ExtendedAccount struct {
	Account
	Location string
}
