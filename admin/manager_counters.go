package admin

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cachenode/cachenode/internal/metrics"
)

// figure is one line of the page counters, and of its averages: what it is
// called and what it has reached in a snapshot. kb values are bytes, shown in
// KB.
type figure struct {
	name  string
	value func(*metrics.Snapshot) int64
	kb    bool
}

func total(c metrics.Counter) func(*metrics.Snapshot) int64 {
	return func(s *metrics.Snapshot) int64 { return s.Counters[c] }
}

func none(*metrics.Snapshot) int64 { return 0 }

// serverFigures are the lines about what was fetched.
func serverFigures() []figure {
	both := func(http, other metrics.Counter) func(*metrics.Snapshot) int64 {
		return func(s *metrics.Snapshot) int64 { return s.Counters[http] + s.Counters[other] }
	}
	return []figure{
		{"server.all.requests", both(metrics.HTTPRequests, metrics.OtherRequests), false},
		{"server.all.errors", both(metrics.HTTPErrors, metrics.OtherErrors), false},
		{"server.all.kbytes_in", both(metrics.HTTPBytesIn, metrics.OtherBytesIn), true},
		{"server.all.kbytes_out", both(metrics.HTTPBytesOut, metrics.OtherBytesOut), true},
		{"server.http.requests", total(metrics.HTTPRequests), false},
		{"server.http.errors", total(metrics.HTTPErrors), false},
		{"server.http.kbytes_in", total(metrics.HTTPBytesIn), true},
		{"server.http.kbytes_out", total(metrics.HTTPBytesOut), true},
		{"server.ftp.requests", none, false},
		{"server.ftp.errors", none, false},
		{"server.ftp.kbytes_in", none, true},
		{"server.ftp.kbytes_out", none, true},
		{"server.other.requests", total(metrics.OtherRequests), false},
		{"server.other.errors", total(metrics.OtherErrors), false},
		{"server.other.kbytes_in", total(metrics.OtherBytesIn), true},
		{"server.other.kbytes_out", total(metrics.OtherBytesOut), true},
	}
}

// icpFigures are the lines about ICP, in the order of the page counters.
func icpFigures() []figure {
	icp := func(f func(metrics.ICPStats) uint64) func(*metrics.Snapshot) int64 {
		return func(s *metrics.Snapshot) int64 { return int64(f(s.ICP)) }
	}
	type stats = metrics.ICPStats
	return []figure{
		{"icp.pkts_sent", icp(func(s stats) uint64 { return s.PktsSent }), false},
		{"icp.pkts_recv", icp(func(s stats) uint64 { return s.PktsRecv }), false},
		{"icp.queries_sent", icp(func(s stats) uint64 { return s.QueriesSent }), false},
		{"icp.replies_sent", icp(func(s stats) uint64 { return s.RepliesSent }), false},
		{"icp.queries_recv", icp(func(s stats) uint64 { return s.QueriesRecv }), false},
		{"icp.replies_recv", icp(func(s stats) uint64 { return s.RepliesRecv }), false},
		{"icp.query_timeouts", icp(func(s stats) uint64 { return s.QueryTimeouts }), false},
		{"icp.replies_queued", none, false},
		{"icp.kbytes_sent", icp(func(s stats) uint64 { return s.BytesSent }), true},
		{"icp.kbytes_recv", icp(func(s stats) uint64 { return s.BytesRecv }), true},
		{"icp.q_kbytes_sent", icp(func(s stats) uint64 { return s.QueryBytesSent }), true},
		{"icp.r_kbytes_sent", icp(func(s stats) uint64 { return s.ReplyBytesSent }), true},
		{"icp.q_kbytes_recv", icp(func(s stats) uint64 { return s.QueryBytesRecv }), true},
		{"icp.r_kbytes_recv", icp(func(s stats) uint64 { return s.ReplyBytesRecv }), true},
	}
}

func clientFigures() []figure {
	return []figure{
		{"client_http.requests", total(metrics.Requests), false},
		{"client_http.hits", total(metrics.Hits), false},
		{"client_http.errors", total(metrics.Errors), false},
		{"client_http.kbytes_in", total(metrics.BytesIn), true},
		{"client_http.kbytes_out", total(metrics.BytesOut), true},
	}
}

func swapFigures() []figure {
	return []figure{
		{"swap.outs", func(s *metrics.Snapshot) int64 { return int64(s.Cache.Writes) }, false},
		{"swap.ins", func(s *metrics.Snapshot) int64 { return int64(s.Cache.Reads) }, false},
		{"swap.files_cleaned", func(s *metrics.Snapshot) int64 { return int64(s.Cache.Removed) }, false},
		{"aborted_requests", total(metrics.Aborted), false},
	}
}

// writeTotals writes lines of the page counters.
func writeTotals(b *bytes.Buffer, s *metrics.Snapshot, figures []figure) {
	for _, f := range figures {
		v := f.value(s)
		if f.kb {
			v >>= 10
		}
		fmt.Fprintf(b, "%s = %d\n", f.name, v)
	}
}

func (s *Server) writeCounters(b *bytes.Buffer, now time.Time) {
	w := s.deps.Metrics.Total(now)
	end := w.End
	fmt.Fprintf(b, "sample_time = %s\n", squidTime(now))
	writeTotals(b, end, clientFigures())
	writeTotals(b, end, []figure{{"client_http.hit_kbytes_out", total(metrics.HitBytesOut), true}})
	writeTotals(b, end, serverFigures())
	writeTotals(b, end, icpFigures())
	fmt.Fprintf(b, "icp.times_used = %d\n", end.ICP.TimesUsed)
	for _, name := range []string{"cd.times_used", "cd.msgs_sent", "cd.msgs_recv", "cd.memory", "cd.local_memory", "cd.kbytes_sent", "cd.kbytes_recv", "unlink.requests"} {
		fmt.Fprintf(b, "%s = 0\n", name)
	}
	fmt.Fprintf(b, "page_faults = %d\n", end.Usage.MajorFaults)
	b.WriteString("select_loops = 0\n")
	fmt.Fprintf(b, "cpu_time = %f\n", end.Usage.CPU.Seconds())
	fmt.Fprintf(b, "wall_time = %f\n", w.Seconds())
	writeTotals(b, end, swapFigures())
}

// writeRates writes lines of the pages 5min and 60min.
func writeRates(b *bytes.Buffer, w metrics.Window, figures []figure) {
	for _, f := range figures {
		v := float64(f.value(w.End) - f.value(w.Start))
		if f.kb {
			v /= 1024
		}
		fmt.Fprintf(b, "%s = %f/sec\n", f.name, w.PerSecond(v))
	}
}

func (s *Server) writeAverages(b *bytes.Buffer, now time.Time, minutes int) {
	w := s.deps.Metrics.Window(minutes, now)
	median := func(name string, t metrics.ServiceTime) {
		fmt.Fprintf(b, "%s = %f seconds\n", name, w.Quantile(t, 0.5).Seconds())
	}
	fmt.Fprintf(b, "sample_start_time = %s\n", squidTime(w.Start.Time))
	fmt.Fprintf(b, "sample_end_time = %s\n", squidTime(w.End.Time))
	writeRates(b, w, clientFigures())
	median("client_http.all_median_svc_time", metrics.AllRequests)
	median("client_http.miss_median_svc_time", metrics.CacheMisses)
	median("client_http.nm_median_svc_time", metrics.NotModified)
	median("client_http.nh_median_svc_time", metrics.NearHits)
	median("client_http.hit_median_svc_time", metrics.CacheHits)
	writeRates(b, w, serverFigures())
	icp := icpFigures()
	icp[6], icp[7] = icp[7], icp[6] // squid has query_timeouts and replies_queued the other way round here
	writeRates(b, w, icp)
	median("icp.query_median_svc_time", metrics.ICPQueries)
	b.WriteString("icp.reply_median_svc_time = 0.000000 seconds\n")
	median("dns.median_svc_time", metrics.DNSLookups)
	writeRates(b, w, []figure{
		{"unlink.requests", none, false},
		{"page_faults", func(s *metrics.Snapshot) int64 { return s.Usage.MajorFaults }, false},
		{"select_loops", none, false},
		{"select_fds", none, false},
	})
	b.WriteString("average_select_fd_period = 0.000000/fd\nmedian_select_fds = 0.000000\n")
	writeRates(b, w, swapFigures())
	for _, name := range []string{
		"disk.opens", "disk.closes", "disk.reads", "disk.writes", "disk.seeks", "disk.unlinks",
		"sock.accepts", "sock.sockets", "sock.connects", "sock.binds", "sock.closes",
		"sock.reads", "sock.writes", "sock.recvfroms", "sock.sendtos",
	} {
		fmt.Fprintf(b, "syscalls.%s = 0.000000/sec\n", name)
	}
	cpu := (w.End.Usage.CPU - w.Start.Usage.CPU).Seconds()
	fmt.Fprintf(b, "cpu_time = %f seconds\nwall_time = %f seconds\ncpu_usage = %f%%\n", cpu, w.Seconds(), w.CPUPercent())
}
