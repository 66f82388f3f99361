package admin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// access says who may see a page over TCP. On the unix socket the permissions
// of the file decide, and everything is allowed.
type access uint8

const (
	accessAll     access = iota // probes: everybody who reaches the address
	accessNumbers               // plain numbers: this machine; others with the token or admin.open_metrics
	accessTraffic               // who asks for what: this machine; others with the token
	accessControl               // the API and profiles: the token, always
)

// socketKey marks the context of requests that came over the unix socket.
type socketKey struct{}

func markSocket(ctx context.Context, c net.Conn) context.Context {
	if _, ok := c.(*net.UnixConn); ok {
		return context.WithValue(ctx, socketKey{}, true)
	}
	return ctx
}

// hostNames are the names by which callers may ask, besides addresses.
func hostNames(o Options, d Deps) map[string]bool {
	names := map[string]bool{"localhost": true}
	add := func(name string) {
		if a, err := netip.ParseAddr(name); err == nil {
			name = a.Unmap().String()
		}
		if name != "" {
			names[strings.ToLower(name)] = true
		}
	}
	for _, name := range o.Names {
		add(name)
	}
	add(d.Name)
	if name, err := os.Hostname(); err == nil {
		add(name)
	}
	if host, _, err := net.SplitHostPort(o.Listen); err == nil {
		add(host)
	}
	return names
}

// refusal is why a call is refused and what its caller can do.
type refusal struct{ why, hint string }

// refuse decides whether r may see what needs level; nil lets it pass.
func (s *Server) refuse(r *http.Request, level access) *refusal {
	if r.Context().Value(socketKey{}) != nil {
		return nil
	}
	// A page of another site must get nothing, not even with the help of DNS
	// answers that change (rebinding): the browser on this machine is "local".
	if !s.hostAllowed(r) {
		return &refusal{"the request is for host " + quote(r.Host) + ", which is not a name of this node",
			"ask by an address of this machine, or list the name in admin.names"}
	}
	if crossSite(r) {
		return &refusal{"the request comes from a page of another site",
			"open the address directly, or call the API from a program"}
	}
	if level == accessAll || level < accessControl && fromLoopback(r) || level == accessNumbers && s.opts.OpenMetrics {
		return nil
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && s.tokenMatches(strings.TrimSpace(given)) {
		return nil
	}
	const hint = "send the content of " + TokenName + " in the data directory as 'Authorization: Bearer TOKEN', or use the unix socket " + SocketName
	switch {
	case ok:
		return &refusal{"the token is wrong", hint}
	case level == accessNumbers:
		return &refusal{"only this machine may see this without a token", hint + ", or set admin.open_metrics"}
	case level == accessTraffic:
		return &refusal{"only this machine may see this without a token", hint}
	}
	return &refusal{"this needs the API token", hint}
}

// hostAllowed reports whether the Host names this machine: a loopback name or
// address, the address that the connection came to, or a configured name.
func (s *Server) hostAllowed(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if s.hosts[host] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	if addr.IsLoopback() || s.hosts[addr.String()] {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	bound, err := netip.ParseAddrPort(local.String())
	return err == nil && bound.Addr().Unmap().WithZone("") == addr.WithZone("")
}

// crossSite reports whether a browser sent r on behalf of another site's page
// (Fetch Metadata, and Origin for browsers without it).
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
}

func fromLoopback(r *http.Request) bool {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// guarded serves h to those who may see what needs level.
func (s *Server) guarded(level access, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		no := s.refuse(r, level)
		if no == nil {
			h(w, r)
			return
		}
		s.deps.Log.Debug("admin call refused", "path", r.URL.Path, "client", r.RemoteAddr, "reason", no.why)
		writeRefusal(w, r, *no)
	}
}
