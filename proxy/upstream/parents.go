package upstream

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// parents chooses the way of each request and knows which parents are up.
type parents struct {
	opts   ParentOptions
	list   []*parent
	exempt []exemption
	turn   atomic.Uint32 // round robin
	log    *slog.Logger
}

// parent is one parent proxy.
type parent struct {
	parentAddress
	auth    string // value of Proxy-Authorization, empty without credentials
	sibling bool   // it is a sibling, whose health is watched elsewhere

	mu   sync.Mutex // guards what follows
	down bool
	row  int // connections in a row that speak against down
}

func newParents(o ParentOptions, log *slog.Logger) (*parents, error) {
	p := &parents{opts: o, log: log}
	for i, po := range o.List {
		a, err := po.address()
		if err != nil {
			return nil, err
		}
		auth, err := po.credentials()
		if err != nil {
			return nil, fmt.Errorf("proxy.upstream.parents.list[%d].password_file: %w", i, err)
		}
		p.list = append(p.list, &parent{parentAddress: a, auth: auth})
	}
	for _, s := range o.Exempt {
		e, err := parseExempt(s)
		if err != nil {
			return nil, err
		}
		p.exempt = append(p.exempt, e)
	}
	return p, nil
}

func (p Parent) credentials() (string, error) {
	if p.User == "" {
		return "", nil
	}
	password := ""
	if p.PasswordFile != "" {
		f, err := os.Open(p.PasswordFile)
		if err != nil {
			return "", err
		}
		defer f.Close() //nolint:errcheck // it was only read
		line := bufio.NewScanner(f)
		if !line.Scan() {
			return "", fmt.Errorf("%s has no first line", p.PasswordFile)
		}
		password = strings.TrimSuffix(line.Text(), "\r")
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.User+":"+password)), nil
}

// direct is the way without a parent.
var direct = []*parent{nil}

// ways returns where a request for host may go, in the order to try; nil in it
// stands for direct. Parents that are down come last, and only where going
// direct is no way.
func (p *parents) ways(host string) []*parent {
	if len(p.list) == 0 || p.goesDirect(host) {
		return direct
	}
	n := len(p.list)
	first := 0
	if p.opts.Policy == policyRoundRobin {
		first = int((p.turn.Add(1) - 1) % uint32(n))
	}
	ways := make([]*parent, 0, n+1)
	var down []*parent
	for i := range n {
		if q := p.list[(first+i)%n]; q.isDown() {
			down = append(down, q)
		} else {
			ways = append(ways, q)
		}
	}
	if p.opts.Direct == directFallback {
		return append(ways, nil)
	}
	return append(ways, down...)
}

func (p *parents) goesDirect(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, e := range p.exempt {
		if e.matches(host) {
			return true
		}
	}
	return false
}

func (q *parent) isDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.down
}

// note counts a connection that was made or failed, of a check or of a
// request. Without checks nothing would find out that a parent is back, so none
// is ever down then.
func (p *parents) note(q *parent, ok bool) {
	if p.opts.Health.Interval <= 0 || q.sibling {
		return
	}
	q.mu.Lock()
	changed := q.count(ok, p.opts.Health)
	q.mu.Unlock()
	switch {
	case changed && ok:
		p.log.Info("parent is up", "parent", q.name, "address", q.hostport)
	case changed:
		p.log.Warn("parent is down", "parent", q.name, "address", q.hostport)
	}
}

func (q *parent) count(ok bool, o HealthOptions) (changed bool) {
	if ok != q.down {
		q.row = 0
		return false
	}
	need := o.Fall
	if q.down {
		need = o.Rise
	}
	if q.row++; q.row < need {
		return false
	}
	q.down, q.row = !q.down, 0
	return true
}

// watch checks every parent each interval until ctx ends.
func (p *parents) watch(ctx context.Context, d Dialer) {
	if p.opts.Health.Interval <= 0 || len(p.list) == 0 {
		return
	}
	t := time.NewTicker(p.opts.Health.Interval.D())
	defer t.Stop()
	for {
		var checks sync.WaitGroup
		for _, q := range p.list {
			checks.Go(func() { p.check(ctx, d, q) })
		}
		checks.Wait()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (p *parents) check(ctx context.Context, d Dialer, q *parent) {
	cctx, cancel := context.WithTimeout(ctx, p.opts.Health.Timeout.D())
	defer cancel()
	nc, err := d.DialContext(cctx, "tcp", q.hostport)
	if err == nil {
		_ = nc.Close()
	}
	if ctx.Err() == nil {
		p.note(q, err == nil)
	}
}
