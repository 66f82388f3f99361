package failover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// answer is what one probe got.
type answer struct {
	header http.Header
	body   []byte
	node   string // who answered, as Cache-Status or Via tell
	stale  bool   // a kept connection had died under the request before
	kept   bool   // the connection can be used again
}

// maxBody bounds what a probe reads of one answer.
const maxBody = 1 << 20

// The classes of failures.
const (
	classRefused     = "refused"     // nobody listens
	classReset       = "reset"       // the connection was reset
	classTimeout     = "timeout"     // no answer in time
	classUnreachable = "unreachable" // no way to the address
	classClosed      = "closed"      // closed before a complete answer
	classWrong       = "wrong-body"
	classMalformed   = "malformed" // what came is not HTTP
	classOverload    = "overload"  // kept connections were too slow for the rate
	classOther       = "other"
)

// probeError is an error whose class is known.
type probeError struct {
	class string
	err   error
}

func (e *probeError) Error() string { return e.err.Error() }
func (e *probeError) Unwrap() error { return e.err }

func classOf(err error) string {
	if e, ok := errors.AsType[*probeError](err); ok {
		return e.class
	}
	for _, c := range []struct {
		is    error
		class string
	}{
		{syscall.ECONNREFUSED, classRefused}, {syscall.ECONNRESET, classReset}, {syscall.EPIPE, classReset},
		{syscall.EHOSTUNREACH, classUnreachable}, {syscall.ENETUNREACH, classUnreachable},
		{context.DeadlineExceeded, classTimeout}, {os.ErrDeadlineExceeded, classTimeout},
		{io.EOF, classClosed}, {io.ErrUnexpectedEOF, classClosed}, {io.ErrClosedPipe, classClosed}, {net.ErrClosed, classClosed},
	} {
		if errors.Is(err, c.is) {
			return c.class
		}
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return classTimeout
	}
	return classOther
}

// conn is one connection to the proxy. It is used by one goroutine.
type conn struct {
	nc     net.Conn
	r      *bufio.Reader
	served int // complete answers so far
}

func newConn(nc net.Conn) *conn { return &conn{nc: nc, r: bufio.NewReader(nc)} }

func (c *conn) close() { _ = c.nc.Close() } // nothing was promised

// errStale is a kept connection that had died: not a byte of an answer came.
var errStale = errors.New("the kept connection had died")

// ask sends one request and reads its answer until the deadline of ctx, or its
// end. A connection that served before and gives nothing any more is errStale.
func (c *conn) ask(ctx context.Context, target string, keep bool) (answer, error) {
	deadline, _ := ctx.Deadline()
	_ = c.nc.SetDeadline(deadline) // a closed connection fails at the write
	defer context.AfterFunc(ctx, func() {
		_ = c.nc.SetDeadline(time.Unix(1, 0))
	})()
	if _, err := io.WriteString(c.nc, requestOf(target, keep)); err != nil {
		return answer{}, c.staleOr(err)
	}
	if _, err := c.r.Peek(1); err != nil {
		return answer{}, c.staleOr(err)
	}
	a, err := c.read()
	if err == nil {
		c.served++
	}
	a.kept = a.kept && keep && err == nil
	return a, err
}

// staleOr tells a connection that died while it was kept from other failures.
// Waiting in vain is not dying: a client would not ask again.
func (c *conn) staleOr(err error) error {
	switch classOf(err) {
	case classReset, classClosed:
		if c.served > 0 {
			return fmt.Errorf("%w: %w", errStale, err)
		}
	}
	return err
}

func (c *conn) read() (answer, error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		if classOf(err) == classOther {
			err = &probeError{class: classMalformed, err: err}
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{header: resp.Header, node: nodeOf(resp.Header), kept: !resp.Close}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return a, err
	}
	if len(a.body) > maxBody {
		return a, &probeError{class: classOther, err: fmt.Errorf("the body is larger than %d bytes: probe something smaller", maxBody)}
	}
	if resp.StatusCode >= 400 {
		return a, &probeError{class: fmt.Sprintf("status-%d", resp.StatusCode), err: fmt.Errorf("answered %s", resp.Status)}
	}
	return a, nil
}

func requestOf(target string, keep bool) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	connection := "close"
	if keep {
		connection = "keep-alive"
	}
	return "GET " + u.String() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUser-Agent: cachenode-bench\r\nConnection: " + connection + "\r\n\r\n"
}

// nodeOf is the name of the proxy that answered: the last member of
// Cache-Status (RFC 9211: the cache nearest to the client comes last), without
// the prefix of our own nodes, else the last of Via.
func nodeOf(h http.Header) string {
	if members := strings.Split(strings.Join(h.Values("Cache-Status"), ","), ","); members[len(members)-1] != "" {
		name, _, _ := strings.Cut(members[len(members)-1], ";")
		return clip(strings.TrimPrefix(strings.Trim(name, ` "`), "cachenode-"))
	}
	via := strings.Split(strings.Join(h.Values("Via"), ","), ",")
	if fields := strings.Fields(via[len(via)-1]); len(fields) >= 2 {
		return clip(fields[1])
	}
	return ""
}

// clip bounds a name that somebody else chose.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
