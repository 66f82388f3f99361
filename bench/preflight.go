package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// hinted is an error with what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// Hint is the advice.
func (e *hinted) Hint() string { return e.hint }

// allowHint is what a node of ours needs for the origin on loopback.
const allowHint = "start a node with 'cachenode run --allow-to 127.0.0.0/8'"

// preflight asks for one object, so that what cannot work is said at once, and
// learns what the target calls itself.
func (r *run) preflight(ctx context.Context) error {
	if r.config.RealURLs {
		return r.reachable(ctx)
	}
	w := r.newWorker(0)
	w.conn.pace = nil
	defer w.conn.close()
	x := &w.x
	x.sent = time.Now()
	if wr := r.writer.sweepOf(); wr.urls == nil {
		x.ask.id = append(append(x.ask.id[:0], wr.idPrefix...), "probe"...)
		x.ask.size = 1 << 10
		wr.own(0, &x.ask, x.sent)
	} else {
		wr.foreign(wr.urls[0], &x.ask)
	}
	if err := w.send(ctx); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	r.software = string(x.h.server)
	if len(x.h.via) > 0 && r.config.Proxy != "" {
		r.software = string(x.h.via)
	}
	return r.explain(x)
}

// reachable only connects: nobody knows what else may be asked for.
func (r *run) reachable(ctx context.Context) error {
	nc, err := r.dialer.open(ctx, 0)
	if err != nil {
		return r.unreachable(reason(err), err)
	}
	return nc.Close()
}

func (r *run) unreachable(why string, err error) error {
	hint := "check the address, and that the proxy runs"
	if r.config.Proxy == "" {
		hint = "check --origin"
	} else if isLoopback(r.config.Proxy) {
		hint = allowHint
	}
	text := fmt.Errorf("nothing answers on %s: %s", r.dialer.target, why)
	if errors.Is(err, syscall.ECONNREFUSED) {
		text = fmt.Errorf("nothing listens on %s", r.dialer.target)
	}
	return &hinted{err: text, hint: hint}
}

// explain turns a probe that failed into an error with advice.
func (r *run) explain(x *exchange) error {
	target, authority := r.dialer.target, r.authority
	switch x.fault.class {
	case "":
		return nil
	case ConnectFailed:
		var err error
		if x.fault.detail == syscall.ECONNREFUSED.Error() {
			err = syscall.ECONNREFUSED
		}
		return r.unreachable(x.fault.detail, err)
	case TimedOut, ConnectionLost, Truncated:
		return &hinted{
			err:  fmt.Errorf("%s does not answer a first request: %s", target, x.fault.detail),
			hint: "try it by hand: curl -v -x http://" + target + " " + x.fullURL(authority),
		}
	case BadStatus, TunnelRefused:
		return r.refused(x)
	}
	return &hinted{
		err:  fmt.Errorf("%s answers a first request wrongly (%s): %s", target, x.fault.class, x.fault.detail),
		hint: "is it a proxy? Try it by hand: curl -v -x http://" + target + " " + x.fullURL(authority),
	}
}

func (r *run) refused(x *exchange) error {
	err := fmt.Errorf("%s refuses a first request for %s: %s", r.dialer.target, r.authority, x.fault.detail)
	switch status := x.h.status; {
	case status == 407:
		return &hinted{err: err, hint: "give a user and password: --proxy-auth USER:PASSWORD"}
	case status == 403 && isLoopback(r.authority):
		return &hinted{err: err, hint: "the proxy may not go to the bench's origin on loopback: " + allowHint}
	case status == 403:
		return &hinted{err: err, hint: "allow the proxy to go to " + r.authority + ", and this machine to use it"}
	case status >= 502 && isLoopback(r.authority) && !isLoopback(r.config.Proxy):
		return &hinted{err: err, hint: "the origin listens on loopback, which a proxy on another machine cannot reach: --origin-listen ADDRESS:PORT"}
	case status >= 502:
		return &hinted{err: err, hint: "can the proxy reach " + r.authority + "? Where loopback is forbidden to it: " + allowHint}
	}
	return &hinted{err: err, hint: "try it by hand: curl -v -x http://" + r.dialer.target + " " + x.fullURL(r.authority)}
}

func (x *exchange) fullURL(authority string) string {
	url := x.ask.url()
	if len(url) > 0 && url[0] == '/' {
		return "'http://" + authority + url + "'"
	}
	return "'" + url + "'"
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
