package node

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// state is what the service manager is told (sd_notify(3)).
type state string

const (
	stateReady state = daemon.SdNotifyReady
	stateSame  state = "" // only the line for the status page is new
)

// stateStopping asks for the time that the stop may take, and some for closing
// what is open.
func stateStopping(wait time.Duration) state {
	return state(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, (wait + closing).Microseconds()))
}

// closing is more than the store and the logs take to close.
const closing = 15 * time.Second

// stateReloading must carry the time at which the reload began, so that the
// service manager can tell the READY=1 that ends it from an older one.
func stateReloading() state {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // this clock always exists
	return state(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// notify tells the service manager, if there is one, together with a line for
// its status page.
func (n *Node) notify(s state) {
	if s != stateSame {
		s += "\n"
	}
	if _, err := daemon.SdNotify(false, string(s)+"STATUS="+n.doing()); err != nil {
		n.log.Warn("notify the service manager", "error", err)
	}
}

// doing is what the node does, in a line.
func (n *Node) doing() string {
	state := n.stateName()
	if state == "serving" || state == "starting" {
		return "serving on " + n.listening()
	}
	l := n.load()
	line := fmt.Sprintf("%s: %d connections, %d of them tunnels", state, l.connections, l.tunnels)
	left, ok := n.drainer.now.Load().left(time.Now())
	if by := n.stopBy.Load(); by != nil {
		left, ok = max(0, time.Until(*by)), true
	}
	if ok {
		line += fmt.Sprintf(", %v to the deadline", left.Round(time.Second))
	}
	return line
}

// tellEvery is how often the service manager hears how a stop goes.
const tellEvery = 5 * time.Second

// keepManager has the service manager wait for a stop until ctx ends.
func (n *Node) keepManager(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.notify(stateStopping(max(0, time.Until(*n.stopBy.Load()))))
		}
	}
}

// watchdog keeps telling the service manager that the node is well, and stops
// doing so when its own check fails.
func (n *Node) watchdog(ctx context.Context) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return err
	}
	tick := time.NewTicker(interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := n.check(ctx, interval/3); err != nil {
			n.log.Error("self-check failed", "error", err)
			continue
		}
		if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
			n.log.Warn("notify the service manager", "error", err)
		}
	}
}

// check finds out whether the node still answers: its port takes a connection
// and the store a look-up.
func (n *Node) check(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if !n.Stopping() {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", dialable(n.listeners[0].Addr()))
		if err != nil {
			return fmt.Errorf("connect to own port: %w", err)
		}
		_ = c.Close() // nothing was sent
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		n.store.Lookup("self-check") // no key looks like that, so there is nothing to release
	}()
	select {
	case <-looked:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("look into the store: %w", ctx.Err())
	}
}
