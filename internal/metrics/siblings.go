package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PeerStats is what became of asking one sibling.
type PeerStats struct {
	Name     string
	Up       bool              // it is asked now
	RTT      time.Duration     // of ICP, smoothed; 0 when not known
	Requests map[string]uint64 // by result
}

// siblingDescs are the metrics of ICP and of siblings.
type siblingDescs struct{ messages, dropped, requests, rtt, up *prometheus.Desc }

func newSiblingDescs() siblingDescs {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("cachenode_"+name, help, labels, nil)
	}
	return siblingDescs{
		messages: d("icp_messages_total", "ICP datagrams, by direction and opcode.", "direction", "opcode"),
		dropped:  d("icp_dropped_total", "ICP datagrams received that had no effect, by reason.", "reason"),
		requests: d("peer_requests_total", "Answers of siblings to ICP queries (icp_...) and fetches from them, by result.", "peer", "result"),
		rtt:      d("peer_rtt_seconds", "Smoothed round trip of ICP to a sibling.", "peer"),
		up:       d("peer_up", "1 while misses ask the sibling, 0 while it is slow or silent.", "peer"),
	}
}

func (c *scrape) collectSiblings(ch chan<- prometheus.Metric, src *Sources) {
	s, d := src.icp(), &c.siblings
	for op, n := range s.Sent {
		counter(ch, d.messages, float64(n), "out", op)
	}
	for op, n := range s.Received {
		counter(ch, d.messages, float64(n), "in", op)
	}
	for why, n := range s.Dropped {
		counter(ch, d.dropped, float64(n), why)
	}
	if src.Peers == nil {
		return
	}
	seen := map[string]bool{}
	for _, p := range src.Peers() {
		if seen[p.Name] { // two names are one too many for Prometheus
			continue
		}
		seen[p.Name] = true
		for result, n := range p.Requests {
			counter(ch, d.requests, float64(n), p.Name, result)
		}
		ch <- prometheus.MustNewConstMetric(d.rtt, prometheus.GaugeValue, p.RTT.Seconds(), p.Name)
		ch <- prometheus.MustNewConstMetric(d.up, prometheus.GaugeValue, truth(p.Up), p.Name)
	}
}
