package acl

import (
	"fmt"
	"strconv"
	"strings"
)

// ports is a set of port ranges.
type ports []portRange

type portRange struct{ first, last uint16 }

// add reads a port, 443, or a range, 1024-65535.
func (p *ports) add(s string) error {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err1 := parsePort(from)
	last, err2 := parsePort(to)
	if err1 != nil || err2 != nil || first > last {
		return fmt.Errorf("invalid port %q: want a port from 1 to 65535 or a range such as 1024-65535", s)
	}
	*p = append(*p, portRange{first, last})
	return nil
}

func (p ports) contains(port uint16) bool {
	for _, r := range p {
		if r.first <= port && port <= r.last {
			return true
		}
	}
	return false
}

func (p ports) String() string {
	var b strings.Builder
	for i, r := range p {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(int(r.first)))
		if r.last != r.first {
			b.WriteString("-" + strconv.Itoa(int(r.last)))
		}
	}
	return b.String()
}

func parsePort(s string) (uint16, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, fmt.Errorf("invalid port %q", s)
	}
	return uint16(n), nil
}
