// Package clustertest runs several nodes' proxies in one process, an origin
// behind them and a faulty network between them, for scenarios that one can
// read: Cut, Heal, Kill, Get. It is for tests only, and knows the proxies and
// how they ask each other; membership has tests of its own.
package clustertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/http1"
	"github.com/cachenode/cachenode/icp"
	"github.com/cachenode/cachenode/internal/dns"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/peer/sibling"
	"github.com/cachenode/cachenode/proxy"
)

// Patience is how long anything may take before a scenario gives up on it.
const Patience = 30 * time.Second

// Config is how the nodes are set up; change what DefaultConfig returns.
type Config struct {
	Proxy    proxy.Options
	Siblings sibling.Options
	Access   acl.Options
	Memory   units.Size // of each node's store
}

// DefaultConfig waits for siblings for as long as a loaded machine needs.
func DefaultConfig() Config {
	c := Config{Proxy: proxy.DefaultOptions(), Siblings: sibling.DefaultOptions(), Access: acl.DefaultOptions(), Memory: 16 * units.MiB}
	c.Access.AllowTo = []string{"127.0.0.0/8"}
	c.Siblings.MinWait, c.Siblings.MaxWait = units.Duration(Patience), units.Duration(Patience)
	c.Siblings.DigestInterval = units.Duration(200 * time.Millisecond)
	c.Proxy.Fill.SiblingTimeout = units.Duration(Patience)
	return c
}

// Cluster is some nodes, each the sibling of all others.
type Cluster struct {
	t      testing.TB
	Origin *Origin
	Nodes  []*Node
	links  map[[2]int]*link // by the lower and the higher index
}

// Node is one of them.
type Node struct {
	Name    string
	Proxy   *proxy.Proxy
	Finder  *sibling.Finder
	Digest  *sibling.Digest
	Store   *store.Store
	ICP     *icp.Endpoint
	front   *http1.Server
	addr    string // of the proxy
	cancel  context.CancelFunc
	running sync.WaitGroup
	client  *http.Client

	mu       sync.Mutex // guards what follows
	siblings []sibling.Sibling
	log      []accesslog.Entry
}

// New starts n nodes and their origin; they end with the test.
func New(t testing.TB, n int, change ...func(*Config)) *Cluster {
	t.Helper()
	conf := DefaultConfig()
	for _, c := range change {
		c(&conf)
	}
	c := &Cluster{t: t, Origin: newOrigin(t), links: map[[2]int]*link{}}
	for i := range n {
		c.Nodes = append(c.Nodes, c.start(fmt.Sprintf("n%d", i+1), conf))
	}
	for i := range n {
		for j := range i {
			l := newLink(c.Nodes[j], c.Nodes[i])
			c.links[[2]int{j, i}] = l
			t.Cleanup(l.close)
		}
	}
	for i, node := range c.Nodes {
		node.introduce(c, i)
	}
	return c
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) start(name string, conf Config) *Node {
	c.t.Helper()
	n := &Node{Name: name}
	so := store.DefaultOptions()
	so.Memory, so.Disk = conf.Memory, 0
	var err error
	n.Store, err = store.New(so, slog.New(slog.DiscardHandler))
	c.must(err)
	n.ICP, err = icp.New(context.Background(), icp.Options{Listen: []string{"127.0.0.1:0"}}, icp.Deps{
		Known:  func(a netip.AddrPort) bool { return n.Finder.Knows(a) },
		Answer: func(url string) icp.Opcode { return n.Proxy.Answer(url) }, Observe: func(r icp.Reply) { n.Finder.Observe(r) },
	})
	c.must(err)
	n.Digest = sibling.NewDigest(sibling.DigestDeps{Keys: n.Store.Keys, Allowed: func(*http.Request) bool { return true }})
	n.Finder, err = sibling.New(conf.Siblings, sibling.Deps{Siblings: n.list, ICP: n.ICP, Digest: n.Digest, FetchDigest: n.fetchDigest})
	c.must(err)
	policy, err := cache.NewPolicy(cache.DefaultOptions())
	c.must(err)
	access, err := acl.New(conf.Access)
	c.must(err)
	resolver, err := dns.New(dns.DefaultOptions())
	c.must(err)
	n.Proxy, err = proxy.New(conf.Proxy, proxy.Deps{
		Node: name, Log: slog.New(slog.DiscardHandler), Store: n.Store, Policy: policy, Access: access,
		Dialer: &dns.Dialer{Resolver: resolver, Allowed: access.DialAllowed}, ParentDialer: &dns.Dialer{Resolver: resolver},
		Siblings: n.Finder, Digest: n.Digest, Record: n.record,
	})
	c.must(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	c.must(err)
	n.addr = ln.Addr().String()
	n.front, err = http1.New(http1.DefaultOptions(), http1.Deps{Handler: n.Proxy})
	c.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.running.Go(func() { _ = n.front.Serve(ln) })
	n.running.Go(func() { _ = n.ICP.Run(ctx) })
	n.running.Go(func() { _ = n.Finder.Run(ctx) })
	through := &url.URL{Scheme: "http", Host: n.addr}
	n.client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(through), DisableCompression: true, MaxIdleConnsPerHost: 64}}
	c.t.Cleanup(func() {
		n.client.CloseIdleConnections()
		n.Kill()
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := n.Proxy.Shutdown(ctx); err != nil {
			c.t.Errorf("%s: shutdown: %v", name, err)
		}
		if err := n.front.Wait(ctx); err != nil {
			c.t.Errorf("%s: connections are left: %v", name, err)
		}
		c.must(n.Store.Close())
		c.must(resolver.Close())
	})
	return n
}

// record keeps what clients asked for.
func (n *Node) record(e *accesslog.Entry) {
	if strings.HasPrefix(e.URL, sibling.DigestPath) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := *e
	kept.URL, kept.Method, kept.Peer = strings.Clone(e.URL), strings.Clone(e.Method), strings.Clone(e.Peer)
	n.log = append(n.log, kept)
}

// list are the siblings, with the version of their digests as gossip would tell
// it.
func (n *Node) list() []sibling.Sibling {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.siblings
}

func (n *Node) fetchDigest(ctx context.Context, s sibling.Sibling, have uint64) (io.ReadCloser, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return sibling.GetDigest(ctx, c, s, have)
}

// introduce tells a node of the others.
func (n *Node) introduce(c *Cluster, own int) {
	var list []sibling.Sibling
	for j, other := range c.Nodes {
		if j != own {
			end := c.link(own, j).seenFrom(n)
			list = append(list, sibling.Sibling{ID: other.Name, Name: other.Name, ICP: end.icp(), Proxy: end.http(), Digest: sibling.AnyVersion})
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.siblings = list
}

// Kill ends a node as kill -9 does, as far as others can see. It may be called
// more than once.
func (n *Node) Kill() {
	n.cancel()
	_ = n.front.Close() // its listener may be closed already
	n.running.Wait()
}

// Entries waits for count log entries of the node.
func (n *Node) Entries(t testing.TB, count int) []accesslog.Entry {
	t.Helper()
	var got []accesslog.Entry
	Eventually(t, fmt.Sprintf("%d log entries", count), func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		got = append([]accesslog.Entry(nil), n.log...)
		return len(got) >= count
	})
	return got
}

// Reply is a response with its body.
type Reply struct {
	*http.Response
	Text string
}

// Get asks node i for a path of the origin; lines are header lines.
func (c *Cluster) Get(i int, path string, lines ...string) (*Reply, error) {
	return c.Do(i, http.MethodGet, path, lines...)
}

// Do is Get with any method.
func (c *Cluster) Do(i int, method, path string, lines ...string) (*Reply, error) {
	req, err := http.NewRequest(method, c.Origin.URL()+path, nil)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, ": ")
		req.Header.Add(k, v)
	}
	resp, err := c.Nodes[i].client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return &Reply{resp, string(text)}, err
}

// MustGet is Get of what must be answered with a page of this text.
func (c *Cluster) MustGet(i int, path, text string, lines ...string) *Reply {
	c.t.Helper()
	r, err := c.Get(i, path, lines...)
	c.must(err)
	if r.StatusCode != http.StatusOK || r.Text != text {
		c.t.Errorf("node %d, %s: %d and %d bytes, want %d\n%v", i, path, r.StatusCode, len(r.Text), len(text), r.Header)
	}
	return r
}

// Eventually waits until ok is true.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
