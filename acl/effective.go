package acl

import (
	"fmt"
	"strings"
)

// builtin is the text of the rules that stand before the configured ones.
type builtin struct {
	clients, literals, guard, connect, safe string
}

func (l *List) builtin() builtin {
	guard := "deny to loopback, link-local, metadata, multicast, unspecified and reserved addresses, also embedded in IPv6"
	connect := "deny CONNECT: ports other than " + orNone(l.connect.String())
	if !l.vouched.empty() {
		guard += ", except " + l.vouched.String()
		connect += ", except 1024-65535 on " + l.vouched.String()
	}
	return builtin{
		clients:  "deny clients: from other than " + orNone(l.clients.String()),
		literals: "deny hosts that are neither a name nor a plainly written address",
		guard:    guard,
		connect:  connect,
		safe:     "deny other methods: ports other than " + orNone(l.safe.String()),
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Rules prints the effective rules, one per line, in order, for `config show`:
// the built-in ones, the configured ones, and what happens to the rest. What is
// said of addresses holds for those that are dialled, whatever the name.
func (l *List) Rules() []string {
	lines := []string{l.text.clients, l.text.literals, l.text.guard, "deny to this node's own services", l.text.connect, l.text.safe}
	for i := range l.rules {
		lines = append(lines, l.rules[i].verdict.Rule)
	}
	return append(lines, l.last.text)
}

// describe prints a rule on one line: action, name, and conditions by the keys
// they have in the configuration.
func (r *rule) describe(o Rule) string {
	var b strings.Builder
	b.WriteString(o.Action)
	if o.Name != "" {
		fmt.Fprintf(&b, " %q", o.Name)
	}
	sep := ": "
	for _, c := range []struct{ key, value string }{
		{"from", r.from.String()},
		{"users", strings.Join(o.Users, " ")},
		{"auth", o.Auth},
		{"methods", strings.Join(r.methods, " ")},
		{"domains", strings.Join(o.Domains, " ")},
		{"domains_file", o.DomainsFile},
		{"domains_regexp", strings.Join(o.DomainsRegexp, " ")},
		{"domains_regexp_file", o.DomainsRegexpFile},
		{"to", r.to.String()},
		{"ports", r.ports.String()},
		{"url_regexp", o.URLRegexp},
		{"time", o.Time},
	} {
		if c.value != "" {
			b.WriteString(sep + c.key + " " + c.value)
			sep = ", "
		}
	}
	return b.String()
}
