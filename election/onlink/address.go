// Package onlink is the virtual IP on this machine, as the election wants it:
// on an interface by internal/vip, on loopback, where there is nothing to do, or
// nowhere; and its connections over a hand-over, by internal/steer. It decides
// nothing.
package onlink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/internal/vip"
)

// Address is where the virtual IP is put on this machine.
type Address struct {
	election.Address
	// Events is what the link reports; nil: it reports nothing.
	Events <-chan election.Event
	// MAC is that of the interface; nil: it has none.
	MAC net.HardwareAddr
	// Interface is its name; empty: there is none.
	Interface string
	// Steering keeps connections over a hand-over; nil: they are cut.
	Steering election.Steering

	run   func(context.Context) error
	close func() error
}

// Open opens what the options ask for. The virtual IP itself is not touched. In
// a file, unless its name is empty, it keeps what is to be put back on this machine
// if the process dies.
func Open(o election.Options, file string, log *slog.Logger) (*Address, error) {
	o.Resolve()
	if o.Mode != election.ModeLinux {
		return &Address{Address: &loopback{}, run: waits, close: func() error { return nil }}, nil
	}
	l, err := vip.Open(vip.Options{Prefix: o.Prefix(), Interface: o.Interface, Lease: o.Lease.D(), File: file, Log: log})
	if err != nil {
		return nil, fmt.Errorf("virtual IP %s: %w", o.Address, err)
	}
	s, err := newSteering(l, netip.AddrPortFrom(o.Prefix().Addr(), o.Port), log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("virtual IP %s: %w", o.Address, err), l.Close())
	}
	events := make(chan election.Event)
	given := make(chan struct{}, 1) // one reminder is enough
	return &Address{
		Address: &link{l, given}, Events: events, MAC: l.MAC(), Interface: l.Interface(), Steering: s,
		close: func() error { return errors.Join(s.close(), l.Close()) },
		run: func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return runLink(ctx, l, events) })
			g.Go(func() error { forget(ctx, given, l, o.Port, log); return nil })
			return g.Wait()
		},
	}, nil
}

// Run watches the link until ctx ends; probes need it.
func (a *Address) Run(ctx context.Context) error { return a.run(ctx) }

// Close frees what Open opened.
func (a *Address) Close() error { return a.close() }

func waits(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func runLink(ctx context.Context, l *vip.Link, to chan<- election.Event) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	for {
		select {
		case ev := <-l.Events():
			select {
			case to <- election.Event(ev):
			case err := <-ended:
				return err
			}
		case err := <-ended:
			return err
		}
	}
}

// forget has the kernel forget connections that have ended, each time the address
// was handed to this machine: it may have had it a moment ago.
func forget(ctx context.Context, given <-chan struct{}, l *vip.Link, port uint16, log *slog.Logger) {
	for {
		select {
		case <-given:
		case <-ctx.Done():
			return
		}
		if err := l.Forget(port); err != nil {
			log.Warn("some clients may have to connect again", "error", err)
		}
	}
}

// link is an address on an interface.
type link struct {
	l     *vip.Link
	given chan<- struct{}
}

func (a *link) Probe(ctx context.Context, gateway bool) election.Probe {
	p := a.l.Probe(ctx, gateway)
	return election.Probe{Owner: p.Owner, Rival: p.Rival, Gateway: gateways[p.Gateway], Err: p.Err}
}

var gateways = map[vip.Gateway]election.Gateway{
	vip.GatewayNone:    election.GatewayNone,
	vip.GatewaySilent:  election.GatewaySilent,
	vip.GatewayAnswers: election.GatewayAnswers,
}

func (a *link) Announce()            { a.l.Announce() }
func (a *link) Release(string) error { return a.l.Release() }

func (a *link) Hold(from string) error {
	if from != "" {
		select {
		case a.given <- struct{}{}:
		default:
		}
	}
	return a.l.Hold()
}

// loopback is an address that is there on every machine.
type loopback struct{}

func (*loopback) Probe(ctx context.Context, _ bool) election.Probe {
	<-ctx.Done() // the members have the same time for their answers
	return election.Probe{}
}
func (*loopback) Hold(string) error    { return nil }
func (*loopback) Announce()            {}
func (*loopback) Release(string) error { return nil }
