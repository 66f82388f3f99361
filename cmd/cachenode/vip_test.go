package main

import (
	"strings"
	"testing"

	"github.com/cachenode/cachenode/admin"
)

// A node that has connections at the address after a hand-over says so.
func TestVIPShowsLingering(t *testing.T) {
	var out strings.Builder
	err := showVIP(&out, &admin.VIPStatus{Address: "10.0.0.100/24", Port: 3128, Mode: "linux", Holder: "n2", Term: 8, Nodes: []admin.VIPNode{
		{Name: "n1", Answers: true, State: "idle", Lingering: true, Reason: "handed over"},
		{Name: "n2", Answers: true, State: "holding", Reason: "handed over"},
		{Name: "n3", Answers: true, State: "probing", Lingering: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{"n1    lingering ", "n2    holding ", "n3    probing, lingering "} {
		if got := lines[3+i]; !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q first", got, want)
		}
	}
}
