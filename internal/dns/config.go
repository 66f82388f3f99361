package dns

import (
	"bufio"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// config is what resolv.conf(5) says.
type config struct {
	servers  []netip.AddrPort
	search   []string      // normalised, without trailing dots
	timeout  time.Duration // of one attempt; 0: not said
	attempts int           // for each server
	rotate   bool
	tcp      bool // ask over TCP only
	noAAAA   bool
}

const (
	maxServers = 8
	maxSearch  = 16
)

func (r *Resolver) newConfig() func() *config {
	w := &watched[*config]{path: r.o.ResolvConf, now: r.clock, parse: func(in io.Reader) *config {
		c := parseConfig(in)
		c.override(r.o)
		return c
	}}
	if r.o.ResolvConf == "" || len(r.o.Servers) > 0 && len(r.o.Search) > 0 {
		c := w.parse(eof{})
		return func() *config { return c }
	}
	return w.get
}

// override puts what the options say in the place of the file's.
func (c *config) override(o Options) {
	if len(o.Servers) > 0 {
		c.servers = nil
		for _, s := range o.Servers {
			if server, err := parseServer(s); err == nil {
				c.servers = append(c.servers, server)
			}
		}
	}
	if len(o.Search) > 0 {
		c.setSearch(o.Search)
	}
}

// parseConfig passes over what it does not understand, as resolvers do.
func parseConfig(in io.Reader) *config {
	c := &config{attempts: 2}
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		line := scan.Text()
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(fields[1]); err == nil && len(c.servers) < maxServers {
				c.servers = append(c.servers, netip.AddrPortFrom(a, 53))
			}
		case "domain":
			c.setSearch(fields[1:2])
		case "search":
			c.setSearch(fields[1:])
		case "options":
			for _, o := range fields[1:] {
				c.option(o)
			}
		}
	}
	return c
}

func (c *config) setSearch(domains []string) {
	c.search = nil
	for _, d := range domains {
		if name, literal, err := parseHost(d); err == nil && !literal.IsValid() && len(c.search) < maxSearch {
			c.search = append(c.search, name)
		}
	}
}

func (c *config) option(o string) {
	key, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	switch {
	case key == "timeout" && err == nil:
		c.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
	case key == "attempts" && err == nil:
		c.attempts = min(max(n, 1), 5)
	case key == "rotate":
		c.rotate = true
	case key == "use-vc":
		c.tcp = true
	case key == "no-aaaa":
		c.noAAAA = true
	}
}

// candidates are the names to ask for, in order. A proxy is given absolute
// names; a single label is one of the local network, so ndots is always 1.
func (c *config) candidates(name string) []string {
	if strings.Contains(name, ".") {
		return []string{name}
	}
	list := make([]string, 0, len(c.search)+1)
	for _, domain := range c.search {
		if full := name + "." + domain; len(full) <= 253 {
			list = append(list, full)
		}
	}
	return append(list, name)
}
