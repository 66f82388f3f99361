package frontdoor

import "time"

// counts of the front door, of one node, or of all nodes.
type counts struct {
	sessions      int64
	sessionsMax   int // at a time
	queueMax      int
	in, out       int64 // bytes of ended connections
	connectErrors int64
	redispatches  int64
	aborted       int64
	checksFailed  int64
	downs         int64
	rate          meter
}

// begin counts a connection; active are there with it.
func (c *counts) begin(now time.Time, active int) {
	c.sessions++
	c.sessionsMax = max(c.sessionsMax, active)
	c.rate.add(now)
}

// meter tells how many events there are in a second.
type meter struct {
	second int64 // that of now, in Unix time
	now    int   // events in it
	before int   // events in the one before
	most   int
}

func (m *meter) add(t time.Time) {
	m.turn(t)
	m.now++
	m.most = max(m.most, m.rate(t))
}

// rate is the number of events in the second that ends at t.
func (m *meter) rate(t time.Time) int {
	m.turn(t)
	left := time.Second - time.Duration(t.Nanosecond())
	return m.now + int(int64(m.before)*int64(left)/int64(time.Second))
}

func (m *meter) turn(t time.Time) {
	switch s := t.Unix(); s - m.second {
	case 0:
	case 1:
		m.second, m.before, m.now = s, m.now, 0
	default:
		m.second, m.before, m.now = s, 0, 0
	}
}

// Stats are the counters at one moment; those that count events do so since the
// start.
type Stats struct {
	Frontend Row   `json:"frontend"`
	Nodes    []Row `json:"nodes"`
	Backend  Row   `json:"backend"` // the nodes together, also those that are gone
	// Reasons say how often a connection went where, or nowhere, for what.
	Reasons map[string]int64 `json:"reasons"`
}

// Row is one line of the statistics. What does not apply is zero.
type Row struct {
	ID     string `json:"id,omitempty"`
	Name   string `json:"name"`
	Addr   string `json:"address,omitempty"`
	Self   bool   `json:"self,omitempty"`
	Status Status `json:"status"`
	Weight int    `json:"weight"`
	// Throttle is how much of its weight a node gets, in percent: less than 100
	// during the slow start.
	Throttle int `json:"throttle"`

	Queued        int   `json:"queued"` // connections that wait
	QueuedMax     int   `json:"queued_max"`
	QueueLimit    int   `json:"queue_limit"`
	Sessions      int   `json:"sessions"` // connections now
	SessionsMax   int   `json:"sessions_max"`
	SessionsLimit int   `json:"sessions_limit"` // 0: none
	SessionsTotal int64 `json:"sessions_total"`
	Rate          int   `json:"rate"` // new connections in the last second
	RateMax       int   `json:"rate_max"`
	Chosen        int64 `json:"chosen"` // how often a connection was placed there

	BytesIn  int64 `json:"bytes_in"` // from clients; PROXY headers do not count
	BytesOut int64 `json:"bytes_out"`

	Refused       int64 `json:"refused"` // connections that got no node
	ConnectErrors int64 `json:"connect_errors"`
	Redispatches  int64 `json:"redispatches"` // of these connections, that went on to another node
	Aborted       int64 `json:"aborted"`      // ended by a reset or an error

	ChecksFailed  int64         `json:"checks_failed"`
	WentDown      int64         `json:"went_down"`
	LastChange    time.Duration `json:"last_change"` // how long the status has been the same
	Downtime      time.Duration `json:"downtime"`
	CheckStatus   string        `json:"check_status,omitempty"` // as HAProxy says: L7OK, L4CON, …
	CheckCode     int           `json:"check_code,omitempty"`   // HTTP status
	CheckDuration time.Duration `json:"check_duration"`
}

func (c *counts) row(r Row, now time.Time) Row {
	r.SessionsMax, r.SessionsTotal = c.sessionsMax, c.sessions
	r.Rate, r.RateMax = c.rate.rate(now), c.rate.most
	r.BytesIn, r.BytesOut = r.BytesIn+c.in, r.BytesOut+c.out
	r.QueuedMax = c.queueMax
	r.ConnectErrors, r.Redispatches = c.connectErrors, c.redispatches
	r.Aborted, r.ChecksFailed, r.WentDown = c.aborted, c.checksFailed, c.downs
	return r
}

func (t *table) stats(now time.Time) Stats {
	s := Stats{Reasons: map[string]int64{}}
	backend := Row{
		Name: "BACKEND", Status: StatusDown, Queued: len(t.queue), QueueLimit: t.opts.Queue,
		Sessions: t.carried, SessionsLimit: t.opts.MaxConnections, Chosen: t.all.sessions,
		Throttle: 100, Refused: t.refused(),
	}
	moved := map[*node][2]int64{} // by connections that have not ended
	for c := range t.open {
		in, out := c.moved()
		backend.BytesIn += in
		backend.BytesOut += out
		m := moved[c.node]
		moved[c.node] = [2]int64{m[0] + in, m[1] + out}
	}
	for _, n := range t.nodes {
		r := n.row(&t.opts, now)
		r.BytesIn += moved[n][0]
		r.BytesOut += moved[n][1]
		s.Nodes = append(s.Nodes, r)
		if r.Status == StatusUp {
			backend.Status = StatusUp
			backend.Weight += r.Weight
		}
	}
	s.Backend = t.all.row(backend, now)
	s.Frontend = t.front.row(Row{
		Name: "FRONTEND", Status: StatusOpen, Sessions: len(t.open), SessionsLimit: t.opts.MaxConnections,
		BytesIn: backend.BytesIn, BytesOut: backend.BytesOut, Refused: t.refused(),
	}, now)
	for r := range reasons {
		s.Reasons[r.String()] = t.why[r]
	}
	return s
}

// row is n's, without the bytes of the connections that it still has.
func (n *node) row(o *Options, now time.Time) Row {
	throttle := share(n.risen, now, o.SlowStart.D())
	return n.count.row(Row{
		ID: n.ID, Name: n.Name, Addr: n.Addr.String(), Self: n.Self, Status: n.status,
		Weight: max(n.Weight, 1), Throttle: throttle,
		Sessions: n.active, SessionsLimit: o.MaxConnectionsPerNode, Chosen: n.count.sessions,
		LastChange: now.Sub(n.changed), Downtime: n.downtime(now),
		CheckStatus: n.last.status, CheckCode: n.last.code, CheckDuration: n.last.took,
	}, now)
}

// refused counts the connections that got no node.
func (t *table) refused() (n int64) {
	for _, r := range []Reason{Exhausted, NoNode, QueueFull, QueueTimeout, Closing} {
		n += t.why[r]
	}
	return n
}
