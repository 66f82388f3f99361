// Package election will decide who holds the virtual IP, and take it and give
// it up. It will not carry traffic. Not built yet.
package election
