package netlab

import (
	"fmt"
	"slices"
	"strings"
)

// rules are what the switch drops.
type rules struct {
	deaf, mute []string    // ports to which, and from which, nothing passes
	cut        [][2]string // ports between which nothing passes, one way
	lossy      []loss      // ports to and from which a part is lost
	raw        []string    // statements of tests
}

type loss struct {
	port    string
	percent int
}

// Pull takes the host's cable out of the switch: the host sees no carrier. Its
// addresses stay, its ARP table goes.
func (h *Host) Pull() { h.link("down") }

// Plug puts the cable back.
func (h *Host) Plug() { h.link("up") }

func (h *Host) link(state string) {
	h.lab.t.Helper()
	h.lab.ip("-n", h.lab.sw.name, "link", "set", h.port, state)
}

// EndConnections ends all TCP connections of the host; those of processes that have
// ended too, which a kernel keeps for minutes while their last words are not heard.
func (h *Host) EndConnections() {
	h.lab.t.Helper()
	if err := ip("netns", "exec", h.ns.name, "ss", "--kill", "--tcp", "--all"); err != nil {
		h.lab.t.Fatal(err)
	}
}

// BlackHole drops every frame to and from the host, from one moment on, while its
// carrier stays.
func (h *Host) BlackHole() {
	h.lab.t.Helper()
	r := &h.lab.rules
	r.deaf, r.mute = append(r.deaf, h.port), append(r.mute, h.port)
	h.lab.apply()
}

// Deafen drops the frames to the host; those from it pass.
func (h *Host) Deafen() {
	h.lab.t.Helper()
	h.lab.rules.deaf = append(h.lab.rules.deaf, h.port)
	h.lab.apply()
}

// Mute drops the frames from the host; those to it pass.
func (h *Host) Mute() {
	h.lab.t.Helper()
	h.lab.rules.mute = append(h.lab.rules.mute, h.port)
	h.lab.apply()
}

// Lose drops a part of the frames to and from the host, in percent.
func (h *Host) Lose(percent int) {
	h.lab.t.Helper()
	h.lab.rules.lossy = append(h.lab.rules.lossy, loss{h.port, percent})
	h.lab.apply()
}

// DropGratuitousARP keeps the host's announcements from the others; its
// answers and its other traffic pass.
func (h *Host) DropGratuitousARP(vip string) {
	h.lab.t.Helper()
	h.lab.rules.raw = append(h.lab.rules.raw,
		fmt.Sprintf("iifname %q ether daddr ff:ff:ff:ff:ff:ff arp saddr ip %s drop", h.port, vip))
	h.lab.apply()
}

// Split lets each group of hosts talk among themselves only. Hosts that are in
// no group, such as a client, reach all of them.
func (l *Lab) Split(groups ...[]*Host) {
	l.t.Helper()
	for i, from := range groups {
		for j, to := range groups {
			if i == j {
				continue
			}
			for _, a := range from {
				for _, b := range to {
					l.rules.cut = append(l.rules.cut, [2]string{a.port, b.port})
				}
			}
		}
	}
	l.apply()
}

// Heal ends every black hole, loss and split; cables stay as they are.
func (l *Lab) Heal() {
	l.t.Helper()
	l.rules = rules{}
	l.apply()
}

// Recover ends what was done to this host's frames alone; splits stay.
func (h *Host) Recover() {
	h.lab.t.Helper()
	r := &h.lab.rules
	own := func(port string) bool { return port == h.port }
	r.deaf, r.mute = slices.DeleteFunc(r.deaf, own), slices.DeleteFunc(r.mute, own)
	r.lossy = slices.DeleteFunc(r.lossy, func(l loss) bool { return l.port == h.port })
	quoted := fmt.Sprintf("iifname %q ", h.port)
	r.raw = slices.DeleteFunc(r.raw, func(s string) bool { return strings.HasPrefix(s, quoted) })
	h.lab.apply()
}

// apply exchanges the switch's rules in one transaction.
func (l *Lab) apply() {
	l.t.Helper()
	if err := command([]byte(l.rules.script()), "ip", "netns", "exec", l.sw.name, "nft", "-f", "-"); err != nil {
		l.t.Fatal(err)
	}
}

func (r *rules) script() string {
	var s strings.Builder
	s.WriteString("table bridge lab\ndelete table bridge lab\ntable bridge lab {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n")
	rule := func(format string, args ...any) { fmt.Fprintf(&s, "\t\t"+format+"\n", args...) }
	for _, port := range r.deaf {
		rule("oifname %q drop", port)
	}
	for _, port := range r.mute {
		rule("iifname %q drop", port)
	}
	for _, c := range r.cut {
		rule("iifname %q oifname %q drop", c[0], c[1])
	}
	for _, l := range r.lossy {
		rule("iifname %q numgen random mod 100 < %d drop", l.port, l.percent)
		rule("oifname %q numgen random mod 100 < %d drop", l.port, l.percent)
	}
	for _, statement := range r.raw {
		rule("%s", statement)
	}
	s.WriteString("\t}\n}\n")
	return s.String()
}
