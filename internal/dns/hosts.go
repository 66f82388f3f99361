package dns

import (
	"bufio"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// hosts maps names to the addresses a hosts file gives them.
type hosts map[string][]netip.Addr

func (r *Resolver) newHosts() func() hosts {
	if r.o.Hosts == "" {
		return func() hosts { return nil }
	}
	w := &watched[hosts]{path: r.o.Hosts, parse: parseHosts, now: r.clock}
	return w.get
}

// parseHosts reads lines of an address and its names (hosts(5)). What makes no
// sense is passed over.
func parseHosts(in io.Reader) hosts {
	h := make(hosts)
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		line, _, _ := strings.Cut(scan.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		for _, f := range fields[1:] {
			name, literal, err := parseHost(f)
			if err == nil && !literal.IsValid() && !slices.Contains(h[name], addr) {
				h[name] = append(h[name], addr.Unmap())
			}
		}
	}
	return h
}
