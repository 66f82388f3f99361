package node

import (
	"net/netip"
	"slices"
)

// Warnings lists what is allowed but probably not meant, each by its key.
func (o *Options) Warnings() []string {
	var found []string
	if o.ACL.Auth.Htpasswd == "" && slices.ContainsFunc(o.ACL.AllowFrom, isEveryone) {
		found = append(found, "acl.allow_from: everybody may use this proxy and nobody is asked for a password")
	}
	if slices.ContainsFunc(o.ACL.AllowTo, isEveryone) {
		found = append(found, "acl.allow_to: the destination guard is off for every address, loopback and cloud metadata included")
	}
	return found
}

// isEveryone reports a network that covers all of IPv4 or all of IPv6.
func isEveryone(s string) bool {
	p, err := netip.ParsePrefix(s)
	return s == "all" || (err == nil && p.Bits() == 0)
}
