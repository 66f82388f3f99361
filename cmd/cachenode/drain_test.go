package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/admin"
)

// The line that says how a drain goes.
func TestDrainLine(t *testing.T) {
	left, none := 492.3, 0.0
	for _, c := range []struct {
		d    admin.Drain
		want string
	}{
		{admin.Drain{Node: "n2", State: "draining", Connections: 50, Tunnels: 42, VIP: "n3", SecondsLeft: &left},
			"draining n2: 50 connections (42 CONNECT), VIP moved to n3, 8m12s to deadline"},
		{admin.Drain{Node: "n2", State: "draining", Connections: 1, VIP: "held"}, "draining n2: 1 connection, VIP still here, no deadline"},
		{admin.Drain{Node: "n2", State: "draining", VIP: "nobody", SecondsLeft: &none}, "draining n2: 0 connections, VIP given up, 0s to deadline"},
		{admin.Drain{Node: "n2", State: "drained", Connections: 3}, "drained n2: 3 connections"},
	} {
		if got := drainLine(&c.d); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// What a watch makes of the answers it gets.
func TestDrainWatch(t *testing.T) {
	began := time.Now()
	at := func(state string) admin.Drain { return admin.Drain{Node: "n2", State: state, Began: &began} }
	cut, forced := at("drained"), at("drained")
	cut.Cut, forced.Cut, forced.Forced = 3, 1, true
	for _, c := range []struct {
		name     string
		answers  []admin.Drain // one without a state is no answer
		over     bool
		code     int
		terminal bool
		want     string // what it prints, and its error
	}{
		{"goes on", []admin.Drain{at("draining"), at("draining")}, false, 0, false, "draining n2: 0 connections, no deadline\n"},
		{"goes on, terminal", []admin.Drain{at("draining"), at("draining")}, false, 0, true, strings.Repeat("\r\033[Kdraining n2: 0 connections, no deadline", 2)},
		{"ends, terminal", []admin.Drain{at("drained")}, true, 0, true, "\r\033[Kdrained n2: 0 connections\nok\n"},
		{"ends", []admin.Drain{at("draining"), at("drained")}, true, 0, false, "draining n2: 0 connections, no deadline\nok\n"},
		{"ends before it was seen", []admin.Drain{at("drained")}, true, 0, false, "drained n2: 0 connections\nok\n"},
		{"deadline", []admin.Drain{cut}, true, exitDeadline, false, "drained n2: 0 connections\nthe deadline has passed: 3 connections were cut on n2"},
		{"force", []admin.Drain{forced}, true, 0, false, "drained n2: 0 connections\ncut 1 connection\nok\n"},
		{"taken back", []admin.Drain{at("serving")}, true, exitFailure, false, "n2 is serving: the drain was taken back"},
		{"stopped", []admin.Drain{at("stopping"), {}}, true, 0, false, "stopping n2: 0 connections\nn2 has been stopped\n"},
		{"no answer, perhaps later", []admin.Drain{at("draining"), {}, {}}, false, 0, false, "draining n2: 0 connections, no deadline\n"},
	} {
		var out strings.Builder
		w := &drainWatch{name: "n2", out: &out, terminal: c.terminal}
		var over bool
		var err error
		for _, d := range c.answers {
			var failed error
			if d.State == "" {
				failed = errors.New("no answer")
			}
			over, err = w.saw(&d, failed)
		}
		got, code := out.String(), 0
		if err != nil {
			got, code = got+err.Error(), exitCode(err)
		}
		if over != c.over || code != c.code || got != c.want {
			t.Errorf("%s: over %v, exit %d\n%q\nwant %v, %d\n%q", c.name, over, code, got, c.over, c.code, c.want)
		}
	}
}
