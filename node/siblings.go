package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/icp"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/peer"
	"github.com/cachenode/cachenode/peer/sibling"
)

// siblings are the caches beside this node, and how they are asked.
type siblings struct {
	n        *Node
	endpoint *icp.Endpoint
	finder   *sibling.Finder
	digest   *sibling.Digest
	members  atomic.Pointer[memberList]        // of the cluster, for its last view
	outside  atomic.Pointer[[]sibling.Sibling] // of the configuration, as far as their addresses are known
}

// resolveEvery is how often the hosts of outside siblings are looked up.
const resolveEvery = 30 * time.Second

// openSiblings binds the ICP addresses when there is somebody to ask, or who
// may ask.
func (n *Node) openSiblings(ctx context.Context) error {
	o := n.o
	if o.Standalone || len(o.Siblings.List) == 0 && n.cluster == nil {
		return nil
	}
	s := &siblings{n: n}
	s.outside.Store(literals(o.Siblings.List))
	d := sibling.Deps{Siblings: s.list, Log: n.log}
	if len(o.ICP.Listen) > 0 {
		e, err := s.openICP(ctx, o.ICP)
		if err != nil {
			return icpFault(o.ICP.Listen, err)
		}
		n.onStop("icp", e.Close)
		for _, addr := range e.Addrs() {
			n.ownServices = append(n.ownServices, acl.Service{Addr: addr})
		}
		s.endpoint, d.ICP = e, e
	}
	s.digest = sibling.NewDigest(sibling.DigestDeps{Keys: n.store.Keys, Allowed: s.mayHaveDigest, Log: n.log})
	client := s.client()
	n.onStop("sibling connections", func() error { client.CloseIdleConnections(); return nil })
	d.Digest = s.digest
	d.FetchDigest = func(ctx context.Context, of sibling.Sibling, have uint64) (io.ReadCloser, error) {
		if n.cluster != nil {
			if m := n.cluster.View().ByID(of.ID); m != nil {
				return s.memberDigest(ctx, m, have)
			}
		}
		return sibling.GetDigest(ctx, client, of, have)
	}
	if n.cluster != nil {
		n.cluster.Handle(pathDigest, http.HandlerFunc(s.digest.Serve))
		s.tellICP()
	}
	var err error
	s.finder, err = sibling.New(o.Siblings, d)
	n.siblings = s
	return err
}

// client fetches digests, from siblings alone.
func (s *siblings) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, ResponseHeaderTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// mayHaveDigest reports a request for the digest that comes from a sibling.
func (s *siblings) mayHaveDigest(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && s.finder.IsSibling(from.Addr())
}

// literals are the siblings whose hosts are addresses.
func literals(list []sibling.Outside) *[]sibling.Sibling {
	var known []sibling.Sibling
	for _, s := range list {
		if addr, err := netip.ParseAddr(s.Host); err == nil {
			known = append(known, s.At(addr))
		}
	}
	return &known
}

// list are all siblings; it is called for each miss.
func (s *siblings) list() []sibling.Sibling {
	outside := s.outside.Load()
	if s.n.cluster == nil {
		return *outside
	}
	v := s.n.cluster.View()
	if l := s.members.Load(); l != nil && l.view == v && l.outside == outside {
		return l.all
	}
	l := &memberList{view: v, outside: outside, all: slices.Concat(membersOf(v), *outside)}
	s.members.Store(l)
	return l.all
}

// memberList is what list found for one view and its outside siblings.
type memberList struct {
	view    *peer.View
	outside *[]sibling.Sibling
	all     []sibling.Sibling
}

// membersOf are the members that can be fetched from.
func membersOf(v *peer.View) (list []sibling.Sibling) {
	for _, m := range v.Others() {
		if at := m.Proxy(); at.IsValid() {
			list = append(list, sibling.Sibling{ID: m.ID, Name: m.Name, ICP: m.ICP(), Proxy: at.String(), Digest: m.Digest})
		}
	}
	return list
}

// openICP binds the addresses; when nobody chose the port and it is taken, by a
// squid perhaps, another one.
func (s *siblings) openICP(ctx context.Context, o icp.Options) (*icp.Endpoint, error) {
	d := icp.Deps{Known: s.known, Answer: s.answer, Observe: s.observe, Served: s.served, Log: s.n.log}
	e, err := icp.New(ctx, o, d)
	if !errors.Is(err, unix.EADDRINUSE) || s.n.cluster == nil || !slices.Equal(o.Listen, icp.DefaultOptions().Listen) {
		return e, err
	}
	o.Listen = []string{":0"}
	if e, err = icp.New(ctx, o, d); err == nil {
		s.n.log.Warn("the port of ICP is in use, took another", "wanted", icp.DefaultOptions().Listen[0], "got", e.Addrs()[0].String())
	}
	return e, err
}

// icpFault says what to do about an ICP address that cannot be had.
func icpFault(listen []string, err error) error {
	f := &Fault{Err: fmt.Errorf("listen for ICP on %s: %w", strings.Join(listen, ", "), err), Hint: "see icp.listen in 'cachenode config show'"}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		f.Hint = "see who has the port with 'ss -lunp', and set icp.listen to another one; an empty list switches ICP off"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		f.Hint = "icp.listen names an address that is not one of this machine's; see them with 'ip address'"
	}
	return f
}

// tellICP has the members hear where this node answers ICP.
func (s *siblings) tellICP() {
	if s.endpoint == nil {
		return
	}
	s.n.cluster.Tell(func(m *peer.Meta) {
		for _, at := range s.endpoint.Addrs() {
			if ip := at.Addr().Unmap(); ip.IsUnspecified() || ip == m.Addr {
				m.ICPPort = at.Port()
			}
		}
	})
}

// pathDigest is where members ask each other for digests.
const pathDigest = "/digest"

func (s *siblings) memberDigest(ctx context.Context, m *peer.Member, have uint64) (io.ReadCloser, error) {
	b, err := s.n.cluster.Call(ctx, m, pathDigest+sibling.DigestQuery(have), nil)
	return io.NopCloser(bytes.NewReader(b)), err
}

// tellDigest has the members hear of each new version of the digest, until ctx
// ends.
func (s *siblings) tellDigest(ctx context.Context) error {
	tick := time.NewTicker(s.n.o.Siblings.DigestInterval.D())
	defer tick.Stop()
	for told := uint64(0); ; {
		if v := s.digest.Version(); v != told {
			s.n.cluster.Tell(func(m *peer.Meta) { m.Digest = v })
			told = v
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// The endpoint is opened before the rest is there, but answers nobody before
// Run.
func (s *siblings) known(from netip.AddrPort) bool { return s.finder.Knows(from) }
func (s *siblings) answer(url string) icp.Opcode   { return s.n.proxy.Answer(url) }

func (s *siblings) observe(r icp.Reply) {
	s.finder.Observe(r)
	s.n.metrics.ObserveTime(metrics.ICPQueries, r.RTT)
}

// served takes a query that was answered to the access log, where that is
// wanted. It is no request, so no other number counts it.
func (s *siblings) served(q icp.Served) {
	if !s.n.now.Load().AccessLog.ICP {
		return
	}
	s.n.records.write(&accesslog.Entry{
		Time: time.Now(), Duration: q.Duration, Client: q.From.Addr(), Method: "ICP_QUERY", URL: q.URL,
		Result: accesslog.Result{UDP: true, Tag: icpTag(q.Opcode)}, BytesOut: int64(q.Size),
	})
}

func icpTag(o icp.Opcode) accesslog.Tag {
	switch o {
	case icp.OpHit:
		return accesslog.TagHit
	case icp.OpMiss:
		return accesslog.TagMiss
	case icp.OpMissNoFetch:
		return accesslog.TagMissNoFetch
	case icp.OpDenied:
		return accesslog.TagDenied
	}
	return accesslog.TagInvalid
}

// run answers and watches until ctx ends.
func (s *siblings) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.finder.Run(ctx) })
	g.Go(func() error { return s.resolve(ctx) })
	if s.n.cluster != nil && s.n.o.Siblings.Lookup != sibling.LookupICP {
		g.Go(func() error { return s.tellDigest(ctx) })
	}
	if s.endpoint != nil {
		g.Go(func() error { return s.endpoint.Run(ctx) })
	}
	return g.Wait()
}

// resolve keeps the addresses of outside siblings up to date whose hosts are
// names.
func (s *siblings) resolve(ctx context.Context) error {
	list := s.n.o.Siblings.List
	named := slices.ContainsFunc(list, func(o sibling.Outside) bool {
		_, err := netip.ParseAddr(o.Host)
		return err != nil
	})
	tick := time.NewTicker(resolveEvery)
	defer tick.Stop()
	for named {
		var known []sibling.Sibling
		for _, o := range list {
			if addrs, err := s.n.resolver.Lookup(ctx, o.Host); err == nil && len(addrs) > 0 {
				known = append(known, o.At(addrs[0]))
			} else if old := s.named(o); old != nil {
				known = append(known, *old)
			}
		}
		s.outside.Store(&known)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// named is what is known of an outside sibling whose host cannot be resolved
// now.
func (s *siblings) named(o sibling.Outside) *sibling.Sibling {
	known := *s.outside.Load()
	id := o.At(netip.Addr{}).ID
	if i := slices.IndexFunc(known, func(k sibling.Sibling) bool { return k.ID == id }); i >= 0 {
		return &known[i]
	}
	return nil
}

// icpStats are the numbers of ICP under squid's names.
func (s *siblings) icpStats() metrics.ICPStats {
	if s == nil || s.endpoint == nil {
		return metrics.ICPStats{}
	}
	t := s.endpoint.Stats()
	return metrics.ICPStats{
		QueriesSent: t.QueriesSent, QueriesRecv: t.QueriesReceived,
		RepliesSent: t.RepliesSent, RepliesRecv: t.RepliesReceived,
		PktsSent: t.QueriesSent + t.RepliesSent, PktsRecv: t.QueriesReceived + t.RepliesReceived,
		QueryTimeouts: t.Timeouts, TimesUsed: t.Hits,
		BytesSent: t.QueryBytesSent + t.ReplyBytesSent, BytesRecv: t.QueryBytesReceived + t.ReplyBytesReceived,
		QueryBytesSent: t.QueryBytesSent, QueryBytesRecv: t.QueryBytesReceived,
		ReplyBytesSent: t.ReplyBytesSent, ReplyBytesRecv: t.ReplyBytesReceived,
		Sent: t.Sent, Received: t.Received, Dropped: t.Dropped,
	}
}

// peerStats are the numbers of each sibling.
func (s *siblings) peerStats() []metrics.PeerStats {
	if s == nil {
		return nil
	}
	var all []metrics.PeerStats
	for _, p := range s.finder.Stats() {
		all = append(all, metrics.PeerStats{Name: p.Name, Up: p.Usable, RTT: p.RTT, Requests: p.Requests})
	}
	return all
}
