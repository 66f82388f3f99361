package node

import (
	"context"
	"errors"
	"time"
)

// Abort ends a stop that waits: what is in flight is cut now.
func (n *Node) Abort() { n.aborted.Do(func() { close(n.abort) }) }

// Stopping reports whether the node has begun to stop.
func (n *Node) Stopping() bool { return n.stopping.Load() }

// Connections that were cut have so many steps to end. It is steps that count and
// not time: a process that was kept from running has not waited.
const (
	settleStep  = 500 * time.Millisecond
	settleSteps = 10
)

// settle waits for the connections that were cut.
func (n *Node) settle() (err error) {
	for range settleSteps {
		ctx, cancel := context.WithTimeout(context.Background(), settleStep)
		err = n.server.Wait(ctx)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

// stop hands the virtual IP over, lets what is in flight end, up to the deadline
// or Abort, and cuts the rest.
func (n *Node) stop() {
	n.drainer.stop()
	wait := n.Options().StopTimeout.D()
	n.stopBy.Store(new(time.Now().Add(wait)))
	n.notify(stateStopping(wait))
	n.log.Info("stopping: requests and tunnels in flight may end", "deadline", wait)
	all, end := context.WithCancel(context.Background())
	defer end()
	go func() { // ends with all at the latest
		select {
		case <-n.abort:
			end()
		case <-all.Done():
		}
	}()
	ctx, cancel := context.WithTimeout(all, wait)
	defer cancel()
	telling := make(chan struct{})
	defer func() { end(); <-telling }()
	go func() {
		defer close(telling)
		n.keepManager(ctx)
	}()
	n.moveOn(ctx)

	err := n.shutDoors(ctx)
	if err != nil {
		err = errors.Join(err, n.server.Close())
	}
	err = errors.Join(err, n.endProxy(ctx))
	n.vip.end(ctx)
	if err = errors.Join(err, n.settle()); err != nil {
		n.log.Warn("cut what was still in flight", "error", err)
	}
}

// endProxy lets tunnels and fetches end until ctx does. Only the first call
// does anything.
func (n *Node) endProxy(ctx context.Context) (err error) {
	n.proxyEnded.Do(func() { err = n.proxy.Shutdown(ctx) })
	if ctx.Err() != nil && !n.stopping.Load() {
		return nil // nothing ran that could have been cut
	}
	return err
}

// moveOn has clients go elsewhere before the listeners close: the virtual IP is
// another node's, and the others have heard that this one goes.
func (n *Node) moveOn(ctx context.Context) {
	since := n.drainer.now.Load().began // zero: it served until now
	if since.IsZero() {
		since = time.Now()
	}
	n.vip.leave(ctx)
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	if n.cluster != nil && len(n.cluster.View().Others()) > 0 {
		wait(ctx, spreadTime-time.Since(since))
	}
}
