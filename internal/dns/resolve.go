package dns

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// resolutionDelay is how long the addresses of one family wait for those of the
// other (RFC 8305 §3).
const resolutionDelay = 50 * time.Millisecond

// maxAddrs bounds the addresses kept of one name.
const maxAddrs = 32

// resolve asks for a name, and for those that the search list makes of it. It
// calls publish with a first part of the answer when the rest is late.
func (r *Resolver) resolve(ctx context.Context, name string, publish func(answer)) answer {
	conf := r.conf()
	if len(conf.servers) == 0 {
		return failure(name, false, errors.New(cmp.Or(r.o.ResolvConf, "the configuration")+" names no server; set dns.servers"))
	}
	var a answer
	for _, candidate := range conf.candidates(name) {
		a = r.addresses(ctx, conf, candidate, publish)
		if a.err == nil || a.failed {
			break
		}
	}
	if a.err != nil {
		a.err.Host = name
	}
	return a
}

// addresses asks for A and AAAA at the same time. An answer for one family is
// enough; a failure for the other does not spoil it.
func (r *Resolver) addresses(ctx context.Context, conf *config, name string, publish func(answer)) answer {
	if conf.noAAAA {
		return r.chase(ctx, conf, name, dns.TypeA)
	}
	six, four := make(chan answer, 1), make(chan answer, 1) // one answer each
	r.flying.Go(func() { six <- r.chase(ctx, conf, name, dns.TypeAAAA) })
	r.flying.Go(func() { four <- r.chase(ctx, conf, name, dns.TypeA) })
	select {
	case v6 := <-six:
		return merge(v6, second(v6, four, publish))
	case v4 := <-four:
		return merge(second(v4, six, publish), v4)
	}
}

// second waits for the other family. When it is late, good addresses of the
// first are published meanwhile.
func second(first answer, other <-chan answer, publish func(answer)) answer {
	if first.err != nil {
		return <-other
	}
	late := time.NewTimer(resolutionDelay)
	defer late.Stop()
	select {
	case a := <-other:
		return a
	case <-late.C:
		publish(first)
		return <-other
	}
}

// merge puts the answers for both families together.
func merge(v6, v4 answer) answer {
	switch {
	case v6.err == nil && v4.err == nil:
		return answer{addrs: append(v6.addrs, v4.addrs...), ttl: min(v6.ttl, v4.ttl)}
	case v6.err == nil:
		return v6
	case v4.err == nil:
		return v4
	case v4.failed:
		return v4
	case v6.failed && !v4.nothing:
		return v6
	case v6.failed:
		return v4 // there is no such name, for whatever family
	}
	v4.ttl = min(v4.ttl, v6.ttl)
	return v4
}

// maxChase bounds the questions that one chain of aliases may cost; servers
// that resolve recursively answer the whole chain at once.
const maxChase = 8

// chase asks for the addresses of one family and follows aliases.
func (r *Resolver) chase(ctx context.Context, conf *config, name string, qtype uint16) answer {
	ttl := time.Duration(1<<63 - 1)
	for target, n := name, 0; n < maxChase; n++ {
		reply, err := r.ask(ctx, conf, target, qtype)
		if err != nil {
			return failure(name, !answered(err), err)
		}
		f := follow(reply, target, qtype)
		ttl = min(ttl, f.ttl)
		switch {
		case f.looped:
			return failure(name, false, errors.New("aliases form a loop"))
		case len(f.addrs) > 0:
			return answer{addrs: f.addrs, ttl: ttl}
		case reply.Rcode == dns.RcodeNameError, f.target == target:
			return negative(name, reply, ttl)
		}
		target = f.target
	}
	return failure(name, false, errors.New("too many aliases"))
}

// negative is the answer that there is no such name or no such address, kept as
// long as the zone's SOA says (RFC 2308 §5), or hardly at all without one.
func negative(name string, reply *dns.Msg, ttl time.Duration) answer {
	reason, nothing := "no address", reply.Rcode == dns.RcodeNameError
	if nothing {
		reason = "no such name"
	}
	keep := failureTTL
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			keep = seconds(min(soa.Hdr.Ttl, soa.Minttl))
			break
		}
	}
	return answer{err: &Error{Host: name, Reason: reason}, ttl: min(keep, ttl), nothing: nothing}
}

// followed is where an answer section leads from a name.
type followed struct {
	addrs  []netip.Addr
	target string // the end of the chain of aliases; the name itself without any
	ttl    time.Duration
	looped bool
}

// follow walks the aliases from name through the answer section. Records that
// are not on that way are ignored: nobody asked for them.
func follow(reply *dns.Msg, name string, qtype uint16) followed {
	f := followed{target: name, ttl: time.Duration(1<<63 - 1)}
	for steps := 0; steps <= len(reply.Answer); steps++ {
		if f.collect(reply.Answer, qtype); len(f.addrs) > 0 {
			return f
		}
		alias := aliasOf(reply.Answer, f.target)
		if alias == nil {
			return f
		}
		target, _, err := parseHost(alias.Target)
		if err != nil || target == "" {
			return f // leads to nothing that could have an address
		}
		f.target = target
		f.ttl = min(f.ttl, seconds(alias.Hdr.Ttl))
	}
	f.looped = true
	return f
}

func (f *followed) collect(records []dns.RR, qtype uint16) {
	for _, rr := range records {
		if rr.Header().Rrtype != qtype || rr.Header().Class != dns.ClassINET || !owns(rr, f.target) || len(f.addrs) >= maxAddrs {
			continue
		}
		var addr netip.Addr
		switch rr := rr.(type) {
		case *dns.A:
			addr, _ = netip.AddrFromSlice(rr.A.To4())
		case *dns.AAAA:
			addr, _ = netip.AddrFromSlice(rr.AAAA.To16())
		}
		if addr.IsValid() {
			f.addrs = append(f.addrs, addr)
			f.ttl = min(f.ttl, seconds(rr.Header().Ttl))
		}
	}
}

func aliasOf(records []dns.RR, name string) *dns.CNAME {
	for _, rr := range records {
		if alias, ok := rr.(*dns.CNAME); ok && owns(rr, name) {
			return alias
		}
	}
	return nil
}

func owns(rr dns.RR, name string) bool {
	owner, _, err := parseHost(rr.Header().Name)
	return err == nil && owner == name
}

// seconds is a TTL; one with the top bit set counts as 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
