package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rule is a compiled Rule. An empty condition is met by everything.
type rule struct {
	from     networks
	to       networks
	ports    ports
	methods  []string
	domains  domains
	url      *regexp.Regexp
	hours    hours
	users    map[string]struct{}
	needUser bool

	// addressOnly says that destination network and port are all the rule asks.
	addressOnly bool
	verdict     Verdict
}

type outcome uint8

const (
	unmatched outcome = iota
	matched
	needsUser // all but the user matches, and there is no user yet
)

func (r *rule) match(q *Query, dst destination, zone *time.Location) outcome {
	switch {
	case !r.from.empty() && !r.from.contains(plain(q.Client)),
		len(r.methods) > 0 && !slices.Contains(r.methods, q.Method),
		len(r.ports) > 0 && !r.ports.contains(q.Port),
		!r.domains.empty() && !r.domains.contains(dst.name),
		!r.to.empty() && !r.reaches(dst),
		len(r.hours) > 0 && !r.hours.contains(q.Time.In(zone)),
		r.url != nil && !r.url.MatchString(q.URL):
		return unmatched
	case !r.needUser:
		return matched
	case q.User == "":
		return needsUser
	}
	if _, ok := r.users[q.User]; r.users != nil && !ok {
		return unmatched
	}
	return matched
}

// reaches reports whether the destination is in the rule's networks: one
// address of a name is enough to deny, all are needed to allow.
func (r *rule) reaches(dst destination) bool {
	if dst.literal.IsValid() {
		return r.to.contains(dst.literal)
	}
	inside := func(a netip.Addr) bool { return r.to.contains(plain(a)) }
	if !r.verdict.Allow {
		return slices.ContainsFunc(dst.addrs, inside)
	}
	outside := func(a netip.Addr) bool { return !inside(a) }
	return len(dst.addrs) > 0 && !slices.ContainsFunc(dst.addrs, outside)
}

// rule compiles o; key names it in problems.
func (p *problems) rule(key string, o Rule, haveUsers bool) rule {
	r := rule{
		from:  p.networks(key+".from", o.From),
		to:    p.networks(key+".to", o.To),
		ports: p.ports(key+".ports", o.Ports),
	}
	p.methods(key+".methods", o.Methods, &r)
	p.domains(key, o, &r)
	p.users(key, o, haveUsers, &r)
	var err error
	if o.URLRegexp != "" {
		r.url, err = compileExpr(o.URLRegexp, "")
		p.add(key+".url_regexp", err)
	}
	if o.Time != "" {
		r.hours, err = parseHours(o.Time)
		p.add(key+".time", err)
	}
	if o.Action != "allow" && o.Action != "deny" {
		p.add(key+".action", fmt.Errorf("invalid action %q: want allow or deny", o.Action))
	}
	r.verdict = Verdict{Allow: o.Action == "allow", Rule: r.describe(o)}
	if !r.verdict.Allow {
		r.verdict.Reason = r.reason()
	}
	r.addressOnly = !r.to.empty() && r.conditions()&^(condTo|condPorts) == 0
	return r
}

func (p *problems) methods(key string, list []string, r *rule) {
	for i, m := range list {
		if m == "" || strings.ContainsFunc(m, notToken) {
			p.add(fmt.Sprintf("%s[%d]", key, i), fmt.Errorf("invalid method %q", m))
		}
		r.methods = append(r.methods, strings.ToUpper(m))
	}
}

// notToken is the complement of tchar (RFC 9110 §5.6.2).
func notToken(c rune) bool {
	return (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func (p *problems) domains(key string, o Rule, r *rule) {
	for i, s := range o.Domains {
		p.add(fmt.Sprintf("%s.domains[%d]", key, i), r.domains.addName(s))
	}
	for i, s := range o.DomainsRegexp {
		p.add(fmt.Sprintf("%s.domains_regexp[%d]", key, i), r.domains.addExpr(s))
	}
	if o.DomainsFile != "" {
		p.domainFile(key+".domains_file", o.DomainsFile, r.domains.addName, r)
	}
	if o.DomainsRegexpFile != "" {
		p.domainFile(key+".domains_regexp_file", o.DomainsRegexpFile, r.domains.addExpr, r)
	}
}

// domainFile reads more domains. A list may be empty for the time being; it is
// a condition all the same, one that no request meets.
func (p *problems) domainFile(key, path string, add func(string) error, r *rule) {
	r.domains.listed = true
	p.add(key, readLines(path, add))
}

func (p *problems) users(key string, o Rule, haveUsers bool, r *rule) {
	if o.Auth != "" && o.Auth != "required" {
		p.add(key+".auth", fmt.Errorf("invalid value %q: want required, or leave it out", o.Auth))
	}
	r.needUser = o.Auth != "" || len(o.Users) > 0
	if r.needUser && !haveUsers {
		p.add(key, errors.New("asks for a user, but acl.auth.htpasswd names no file of users"))
	}
	if len(o.Users) == 0 {
		return
	}
	r.users = make(map[string]struct{}, len(o.Users))
	for _, u := range o.Users {
		r.users[u] = struct{}{}
	}
}

// condition is a set of the kinds of condition that a rule has.
type condition uint8

const (
	condFrom condition = 1 << iota
	condTo
	condDomains
	condPorts
	condMethods
	condHours
	condUser
	condURL
)

func (r *rule) conditions() (c condition) {
	for _, k := range []struct {
		set bool
		c   condition
	}{
		{!r.from.empty(), condFrom},
		{!r.to.empty(), condTo},
		{!r.domains.empty(), condDomains},
		{len(r.ports) > 0, condPorts},
		{len(r.methods) > 0, condMethods},
		{len(r.hours) > 0, condHours},
		{r.needUser, condUser},
		{r.url != nil, condURL},
	} {
		if k.set {
			c |= k.c
		}
	}
	return c
}

// reason is the label for what the rule denies: its kind of condition if there
// is only one, else just "rule".
func (r *rule) reason() string {
	switch r.conditions() {
	case condFrom:
		return reasonClient
	case condTo, condDomains, condTo | condDomains:
		return reasonDestination
	case condPorts:
		return reasonPort
	case condMethods:
		return reasonMethod
	case condHours:
		return reasonTime
	case condUser:
		return reasonAuth
	}
	return reasonRule
}
