package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"

	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/internal/dns"
	"github.com/cachenode/cachenode/internal/metrics"
	"github.com/cachenode/cachenode/proxy"
)

func (n *Node) openData(context.Context) error {
	unlock, err := lockData(n.o.Data)
	if err != nil {
		return err
	}
	n.onStop("data directory", unlock)
	return nil
}

func (n *Node) openListeners(ctx context.Context) error {
	for _, addr := range n.o.Listen {
		ln, err := listen(ctx, "listen", addr)
		if err != nil {
			return err
		}
		n.onStop("listener "+addr, func() error { return ignoreClosed(ln.Close()) })
		n.listeners = append(n.listeners, ln)
		n.ownServices = append(n.ownServices, acl.Service{Addr: addrPort(ln.Addr()), Proxy: true})
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return tcp.AddrPort()
}

func (n *Node) openAccess(context.Context) error {
	list, err := n.newAccess(n.o.ACL)
	if err != nil {
		return &Fault{Err: err, Config: true, Hint: "check the file with 'cachenode config check'"}
	}
	n.access.Store(list)
	return nil
}

// newAccess compiles the rules, which also keep requests off this node's own
// addresses.
func (n *Node) newAccess(o acl.Options) (*acl.List, error) {
	o.Services = n.services
	return acl.New(o)
}

func (n *Node) openRecords(context.Context) error {
	var err error
	if n.records, err = openRecords(n.o, n.log); err != nil {
		return err
	}
	n.onStop("access log", n.records.close)
	return nil
}

func (n *Node) openStore(context.Context) error {
	o := n.o.storeOptions()
	if fits := fitting(o.Memory, ownMemory()); fits < o.Memory {
		n.log.Warn("store.memory is more than this machine or control group has room for; less is used", "memory", o.Memory, "used", fits)
		o.Memory = fits
	}
	s, err := store.New(o, n.log)
	if err != nil {
		return dataFault(n.o.Data, err)
	}
	n.onStop("store", s.Close)
	n.store = s
	return nil
}

func (n *Node) openProxy(context.Context) error {
	policy, err := cache.NewPolicy(n.o.Cache)
	if err != nil {
		return err
	}
	if n.resolver, err = dns.New(n.o.DNS); err != nil {
		return err
	}
	n.onStop("resolver", n.resolver.Close)
	d := proxy.Deps{
		Node: n.o.Name, Log: n.log,
		Store: n.store, Policy: policy, Access: n.access.Load(),
		Dialer:       &dns.Dialer{Resolver: n.resolver, Allowed: n.dialAllowed},
		ParentDialer: &dns.Dialer{Resolver: n.resolver},
		Lookup:       n.resolver.Lookup,
		Manager:      n.admin.Manager(),
		Ready:        n.ready,
		Record:       n.record,
	}
	if n.cluster != nil {
		d.Outdated = n.invalid.teller.Tell
	}
	if n.siblings != nil {
		d.Siblings, d.Digest = n.siblings.finder, n.siblings.digest
	}
	if n.proxy, err = proxy.New(n.o.Proxy, d); err != nil {
		return err
	}
	n.onStop("proxy", func() error { return n.endProxy(canceled()) }) // when there was no Run
	n.metrics.Attach(n.sources())
	if n.server, err = n.newServer(); err != nil {
		return err
	}
	return nil
}

// dialAllowed asks the rules in force now, so that a reload changes them for
// connections too.
func (n *Node) dialAllowed(addr netip.AddrPort) error { return n.access.Load().DialAllowed(addr) }

// openAdmin binds the admin addresses. The parts it shows are there before
// anything is served.
func (n *Node) openAdmin(context.Context) error {
	n.metrics = metrics.New(metrics.Build{Version: n.d.Version}, n.started)
	path := filepath.Join(n.o.Data, admin.TokenName)
	token, err := admin.LoadOrCreateToken(path)
	if err != nil {
		return &Fault{Err: err, Hint: "delete " + path + " to get a new one", Config: true}
	}
	d := admin.Deps{
		Node: view{n}, Metrics: n.metrics, Log: n.log,
		Dir: n.o.Data, Token: token, Name: n.o.Name,
		Checks: n.checks(), Draining: n.Draining, Requests: n.requests, Connections: n.connections,
	}
	if n.cluster != nil {
		d.Membership, d.Secrets = membership{n}, membership{n}
	}
	d.VIP, d.FrontDoor, d.Drains = n.vip, n.front.stand, n.drainer
	n.admin, err = admin.New(n.o.Admin, d)
	if err != nil {
		return adminFault(n.o, err)
	}
	n.onStop("admin", n.admin.Close)
	if a := n.admin.Addr(); a != nil {
		n.ownServices = append(n.ownServices, acl.Service{Addr: addrPort(a)})
		n.tellAdmin(a)
	}
	return nil
}

// canceled is the context of those who do not wait.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// ignoreClosed is err unless it says that the server has closed the listener
// already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
