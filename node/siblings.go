package node

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/icp"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/peer/sibling"
)

// siblings are the caches beside this node, and how they are asked.
type siblings struct {
	n        *Node
	endpoint *icp.Endpoint
	finder   *sibling.Finder
	digest   *sibling.Digest
	members  func() []sibling.Sibling          // of the cluster; nil: there is none
	outside  atomic.Pointer[[]sibling.Sibling] // of the configuration, as far as their addresses are known
}

// resolveEvery is how often the hosts of outside siblings are looked up.
const resolveEvery = 30 * time.Second

// openSiblings binds the ICP addresses when there is somebody to ask, or who
// may ask.
func (n *Node) openSiblings(ctx context.Context) error {
	o := n.o
	if o.Standalone || len(o.Siblings.List) == 0 {
		return nil
	}
	s := &siblings{n: n}
	s.outside.Store(literals(o.Siblings.List))
	d := sibling.Deps{Siblings: s.list, Log: n.log}
	if len(o.ICP.Listen) > 0 {
		e, err := icp.New(ctx, o.ICP, icp.Deps{
			Known: s.known, Answer: s.answer, Observe: s.observe, Served: s.served, Log: n.log,
		})
		if err != nil {
			return listenFault("icp.listen", o.ICP.Listen[0], errors.Unwrap(err))
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
		return sibling.GetDigest(ctx, client, of, have)
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
	outside := *s.outside.Load()
	if s.members == nil {
		return outside
	}
	if len(outside) == 0 {
		return s.members()
	}
	return append(slices.Clip(s.members()), outside...)
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
