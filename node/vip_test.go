package node

import (
	"testing"

	"github.com/cachenode/cachenode/election"
)

func TestLeft(t *testing.T) {
	for _, c := range []struct {
		what string
		st   election.Status
		left bool
	}{
		{"it holds the address", election.Status{State: election.Holding, Holder: "me"}, false},
		{"it hands it over", election.Status{State: election.Yielding, Holder: "me"}, false},
		{"nobody has it", election.Status{State: election.Idle}, false},
		{"another one has it", election.Status{State: election.Idle, Holder: "other"}, true},
		{"another one has it, and sends packets on", election.Status{State: election.Idle, Holder: "other", Lingering: true}, false},
		{"it is about to take it", election.Status{State: election.Idle, Holder: "me"}, false},
	} {
		if left(&c.st, "me") != c.left {
			t.Errorf("%s: left is %v", c.what, !c.left)
		}
	}
}
