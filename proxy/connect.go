package proxy

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/proxy/tunnel"
)

// tunnel carries an allowed CONNECT.
func (x *exchange) tunnel() {
	x.log.Result.Tag = accesslog.TagTunnel
	out, err := x.p.tunnels.ServeConnect(x.w, x.r)
	x.carried(out, err)
}

// wantsUpgrade reports a request to change the protocol of the connection.
func wantsUpgrade(r *http.Request) bool {
	if len(r.Header["Upgrade"]) == 0 || !r.ProtoAtLeast(1, 1) || len(offers(r)) == 0 {
		return false
	}
	for opt := range connectionOptions(r.Header) {
		if opt == "Upgrade" {
			return true
		}
	}
	return false
}

// offers are the protocols that the client would speak instead, but for HTTP
// itself: RFC 9113 §3.1 has withdrawn h2c, and in a tunnel of it no request is
// checked or logged. Where none is left, the request is a plain one.
func offers(r *http.Request) []string {
	var list []string
	for _, line := range r.Header["Upgrade"] {
		for p := range strings.SplitSeq(line, ",") {
			p = textproto.TrimString(p)
			name, _, _ := strings.Cut(p, "/")
			if name != "" && !strings.EqualFold(name, "h2c") && !strings.EqualFold(name, "HTTP") {
				list = append(list, p)
			}
		}
	}
	return list
}

// upgrade carries a request that asks for another protocol, such as WebSocket.
func (x *exchange) upgrade() {
	x.log.Result.Tag = accesslog.TagMiss
	protocol := strings.Join(offers(x.r), ", ")
	x.cleanHeader()
	r := x.r.Clone(x.r.Context())
	r.URL, r.Header = x.url, x.outgoing()
	r.Host = x.url.Host
	r.Header["Connection"] = []string{"Upgrade"}
	r.Header["Upgrade"] = []string{protocol}
	out, err := x.p.tunnels.ServeUpgrade(x.w, r)
	x.carried(out, err)
}

// carried takes over what the tunnel counted; with an error it was none.
func (x *exchange) carried(out tunnel.Outcome, err error) {
	x.from(out.Route)
	if out.Status == 0 && err != nil {
		x.fail(refusalOf(err))
		return
	}
	x.log.Status = out.Status
	x.log.Result.TimedOut = out.TimedOut
	// How the two ends take leave of each other is theirs: many clients reset a
	// tunnel whose last bytes they do not want.
	x.log.Result.Aborted = out.Cut
	if x.r.Method == http.MethodConnect || out.Status == http.StatusSwitchingProtocols {
		x.tunneled = true // by splice, past the connection's counters
		x.log.BytesIn, x.log.BytesOut = out.BytesIn, out.BytesOut
		return
	}
	x.headSent = true
	x.log.ContentType = x.w.Header().Get("Content-Type")
}
