package frontdoor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNotReady is what a node answers that wants no connections.
var ErrNotReady = errors.New("not ready")

// lastCheck is what came of the last check, in HAProxy's words.
type lastCheck struct {
	status string
	code   int
	took   time.Duration
}

// Run checks the nodes until ctx ends. It returns when no check runs any more.
func (d *Door) Run(ctx context.Context) error {
	var checks sync.WaitGroup
	defer checks.Wait()
	for {
		due, wait := d.due()
		for _, b := range due {
			checks.Go(func() { d.check(ctx, b) })
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-d.recheck:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// due returns the nodes to check now, and how long it is until the next.
func (d *Door) due() (due []Backend, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table.due(time.Now())
}

func (t *table) due(now time.Time) (due []Backend, wait time.Duration) {
	wait = time.Hour
	for _, n := range t.nodes {
		switch until := n.checkAt.Sub(now); {
		case n.Self || n.checking:
		case until > 0:
			wait = min(wait, until)
		default:
			n.checking, n.checked, n.checkAt = true, now, now.Add(t.opts.Check.Interval.D())
			due = append(due, n.Backend)
		}
	}
	return due, wait
}

func (d *Door) check(ctx context.Context, b Backend) {
	begun := time.Now()
	limited, cancel := context.WithTimeout(ctx, d.opts.Check.Timeout.D())
	defer cancel()
	err := d.deps.Check(limited, b)
	var lost []*conn
	defer func() { abort(lost) }()
	d.change(func(now time.Time) (changed []*node) {
		n := d.table.find(b.ID)
		if n == nil {
			return nil
		}
		n.checking = false
		if n.Addr != b.Addr || ctx.Err() != nil {
			return nil // it says nothing of the node
		}
		o := outcomeOf(err)
		n.last = describe(err, now.Sub(begun))
		if o == failed {
			n.count.checksFailed++
			d.table.all.checksFailed++
			if n.State == Down { // the cluster and we are of one mind
				lost = d.table.lose(nil, n)
			}
		}
		n.health.check(o, d.opts.Check)
		if n.update(now) {
			changed = append(changed, n)
		}
		return changed
	})
}

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return passed
	case errors.Is(err, ErrNotReady):
		return unready
	default:
		return failed
	}
}

// statusError is an answer that is not 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("answer %d", int(e)) }

// Is makes 503 the answer of a node that is not ready.
func (e statusError) Is(target error) bool {
	return target == ErrNotReady && e == 503 //nolint:errorlint // this is what errors.Is calls
}

var errAnswer = errors.New("invalid answer")

func describe(err error, took time.Duration) lastCheck {
	l := lastCheck{took: took}
	status, isStatus := errors.AsType[statusError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case err == nil:
		l.status, l.code = "L7OK", 200
	case isStatus:
		l.status, l.code = "L7STS", int(status)
	case errors.Is(err, ErrNotReady):
		l.status = "L7STS"
	case isOp && op.Op == "dial" && op.Timeout():
		l.status = "L4TOUT"
	case isOp && op.Op == "dial", errors.Is(err, syscall.ECONNREFUSED):
		l.status = "L4CON"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		l.status = "L7TOUT"
	default:
		l.status = "L7RSP"
	}
	return l
}

// askReady is the check by HTTP: GET /readyz at the node's own address, which has
// to be connected to within a time of its own.
func askReady(ctx context.Context, b Backend, within time.Duration) error {
	connect, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	nc, err := dial(connect, b.Addr)
	if err != nil {
		return err
	}
	defer nc.Close() //nolint:errcheck // the answer is there
	if at, ok := ctx.Deadline(); ok {
		if err := nc.SetDeadline(at); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(nc, "GET /readyz HTTP/1.1\r\nHost: %s\r\nUser-Agent: cachenode-frontdoor\r\nConnection: close\r\n\r\n", b.Addr); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(nc, 512)).ReadString('\n')
	if err != nil {
		return err
	}
	return readStatus(line)
}

// readStatus reads a status line (RFC 9112 §4).
func readStatus(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(strings.TrimSpace(code))
	if !strings.HasPrefix(version, "HTTP/1.") || len(code) != 3 || err != nil {
		return errAnswer
	}
	if n != 200 {
		return statusError(n)
	}
	return nil
}
