package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/demo"
)

func newDemo() *cobra.Command {
	var (
		addresses []string
		vip       string
		o         demo.Options
		traffic   bool
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a cluster of three nodes on this machine",
		Long: `demo runs a cluster on loopback, without root and without the internet: three
nodes in processes of their own, a virtual IP that one of them holds, an origin,
and a client that asks for pages through the virtual IP and checks every byte.

On a terminal it shows the nodes and what the client notices while you kill,
drain and restart nodes with the keys that stand below; elsewhere it prints a
line for each thing that happens. Ctrl-C ends all of it and removes its files.`,
		Example: `  cachenode demo
  cachenode demo --addresses 127.0.1.11,127.0.1.12,127.0.1.13 --vip 127.0.1.100
  cachenode demo --port-shift 10000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Addresses, err = parseAddresses(addresses); err == nil && vip != "" {
				o.VIP, err = netip.ParseAddr(vip)
			}
			if err = errors.Join(err, o.Validate()); err != nil {
				return usage(cmd, err)
			}
			o.Quiet = !traffic
			return showDemo(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&addresses, "addresses", nil, "`LIST` of the nodes' addresses (default 127.0.0.11,127.0.0.12,127.0.0.13)")
	f.StringVar(&vip, "vip", "", "`ADDRESS` that clients use (default 127.0.0.100)")
	f.IntVar(&o.Shift, "port-shift", 0, "`N` that is added to the number of every port: 3128, 3130, 3180, 7946, 7947")
	f.BoolVar(&traffic, "traffic", true, "ask for pages all the time")
	return cmd
}

func parseAddresses(list []string) (all []netip.Addr, err error) {
	for _, text := range list {
		a, bad := netip.ParseAddr(strings.TrimSpace(text))
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("--addresses: %w", bad))
		}
		all = append(all, a)
	}
	return all, err
}

func showDemo(cmd *cobra.Command, o demo.Options) error {
	signals := make(chan os.Signal, 4) // more at a time say nothing new
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer survivePipes()()
	d, err := demo.New(o)
	if e, ok := errors.AsType[*demo.AddressError](err); ok {
		return &coded{err: e, code: exitFailure, hint: e.Hint()}
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	hurry, ended := make(chan struct{}), make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		obeyTwice(signals, ended, stop, func() { close(hurry) })
	}()
	err = d.Run(ctx, cmd.OutOrStdout(), os.Stdin, hurry)
	close(ended)
	<-watched
	return err
}

// obeyTwice calls first for a signal and then second for another; what comes
// right behind the first counts as the same wish.
func obeyTwice(signals <-chan os.Signal, ended <-chan struct{}, first, second func()) {
	var asked time.Time
	for {
		select {
		case <-ended:
			return
		case <-signals:
		}
		switch {
		case asked.IsZero():
			asked = time.Now()
			first()
		case time.Since(asked) > oneRequest:
			second()
			return
		}
	}
}
