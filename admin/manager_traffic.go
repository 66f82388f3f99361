package admin

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// writeClients shows what each client address has asked for.
func (s *Server) writeClients(b *bytes.Buffer, _ time.Time) {
	open := make(map[netip.Addr]int)
	for _, c := range listed(s.deps.Connections) {
		open[c.Client.Addr().WithZone("").Unmap()]++
	}
	var requests, hits int64
	b.WriteString("Cache Clients:\n")
	for _, c := range s.deps.Metrics.Clients() {
		requests, hits = requests+c.Requests, hits+c.Hits
		fmt.Fprintf(b, "Address: %s\n", c.Addr)
		fmt.Fprintf(b, "Currently established connections: %d\n", open[c.Addr])
		b.WriteString("    ICP  Requests 0\n")
		fmt.Fprintf(b, "    HTTP Requests %d\n", c.Requests)
		for _, r := range c.Results {
			fmt.Fprintf(b, "        %-20.20s %7d %3.0f%%\n", r.Result, r.Count, percentOf(float64(r.Count), float64(c.Requests)))
		}
		b.WriteString("\n")
	}
	b.WriteString("TOTALS\nICP : 0 Queries, 0 Hits (  0%)\n")
	fmt.Fprintf(b, "HTTP: %d Requests, %d Hits (%3.0f%%)\n", requests, hits, percentOf(float64(hits), float64(requests)))
}

// writeServers shows parents and peers.
func (s *Server) writeServers(b *bytes.Buffer, _ time.Time) {
	all := listed(s.deps.Neighbors)
	if len(all) == 0 {
		b.WriteString("There are no neighbors installed.\n")
	}
	for _, n := range all {
		state := "Down"
		if n.Up {
			state = "Up"
		}
		fmt.Fprintf(b, "\n%-11s: %s\n", n.Kind, n.Name)
		fmt.Fprintf(b, "Host       : %s/%d/%d\n", n.Addr.Addr(), n.Addr.Port(), n.ICPPort)
		fmt.Fprintf(b, "Flags      : %s\n", cmp.Or(n.Flags, "none"))
		fmt.Fprintf(b, "Address[0] : %s\n", n.Addr.Addr())
		fmt.Fprintf(b, "Status     : %s\n", state)
		fmt.Fprintf(b, "FETCHES    : %d\n", n.Fetches)
		fmt.Fprintf(b, "OPEN CONNS : %d\n", n.OpenConns)
		fmt.Fprintf(b, "AVG RTT    : %d msec\n", n.RTT.Milliseconds())
		if !n.LastFail.IsZero() {
			fmt.Fprintf(b, "Last failed connect() at: %s\n", n.LastFail.Format("02/Jan/2006:15:04:05 -0700"))
		}
	}
}

// writeActive shows the requests being served, then the open tunnels, in the
// blocks of squid's page.
func (s *Server) writeActive(b *bytes.Buffer, now time.Time) {
	for _, r := range listed(s.deps.Requests) {
		writeBlock(b, now, block{
			conn: r.Connection, client: r.Client, local: r.Local, requests: 1, url: r.URL,
			result: cmp.Or(r.Result, "TAG_NONE"), in: r.BytesIn, out: r.BytesOut, since: r.Since, user: r.User,
		})
	}
	for _, c := range listed(s.deps.Connections) {
		if c.Tunnel != "" {
			writeBlock(b, now, block{
				conn: c.ID, client: c.Client, local: c.Local, requests: c.Requests, url: c.Tunnel,
				result: "TCP_TUNNEL", in: c.BytesIn, out: c.BytesOut, since: c.Since,
			})
		}
	}
}

type block struct {
	conn          uint64
	client, local netip.AddrPort
	requests      int64
	url, result   string
	in, out       int64
	since         time.Time
	user          string
}

func writeBlock(b *bytes.Buffer, now time.Time, k block) {
	fmt.Fprintf(b, "Connection: %#x\n", k.conn)
	fmt.Fprintf(b, "\tFD 0, read %d, wrote %d\n", k.in, k.out)
	b.WriteString("\tFD desc: Reading next request\n")
	fmt.Fprintf(b, "\tremote: %s\n\tlocal: %s\n\tnrequests: %d\n", k.client, k.local, k.requests)
	fmt.Fprintf(b, "uri %s\nlogType %s\n", oneLine(k.url), k.result)
	fmt.Fprintf(b, "out.offset %d, out.size %d\nreq_sz %d\n", k.out, k.out, k.in)
	fmt.Fprintf(b, "start %d.%06d (%f seconds ago)\n", k.since.Unix(), k.since.Nanosecond()/1000, max(now.Sub(k.since), 0).Seconds())
	fmt.Fprintf(b, "username %s\ndelay_pool 0\n\n", cmp.Or(oneLine(k.user), "-"))
}

// oneLine shows foreign text so that it cannot begin a line of its own.
func oneLine(s string) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			b = fmt.Appendf(b, "%%%02X", c)
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}
