package peer

import (
	"net/netip"
	"testing"
)

func TestWatchersGetTheLatestView(t *testing.T) {
	s := NewStatic("a", Member{ID: "a", Name: "n1"})
	views, stop := s.Watch()
	if v := <-views; len(v.Members) != 1 || v.Me().State != Alive {
		t.Fatalf("first view %+v", v)
	}
	s.Set(Member{ID: "a", Name: "n1"}, Member{ID: "b", Name: "n0"})
	s.Set(Member{ID: "a", Name: "n1"}, Member{ID: "c", Name: "n0", State: Failed})
	v := <-views
	if v.Seq != 3 || v.Members[0].ID != "c" || len(v.Others()) != 0 || v.Count(Failed) != 1 {
		t.Errorf("view %+v", v)
	}
	stop()
	s.Set()
	select {
	case v := <-views:
		t.Errorf("after stop came %+v", v)
	default:
	}
}

func TestViewFinds(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.2")
	v := NewStatic("a",
		Member{ID: "old", Name: "n2", State: Failed, Meta: Meta{Addr: addr}},
		Member{ID: "new", Name: "n2", State: Draining, Meta: Meta{Addr: addr, ProxyPort: 3128}},
		Member{ID: "cut off", Name: "n3", State: Failed, Meta: Meta{Addr: netip.MustParseAddr("10.0.0.3")}},
		Member{ID: "gone", Name: "n4", State: Left, Meta: Meta{Addr: netip.MustParseAddr("10.0.0.4")}},
	).View()
	if m := v.ByName("n2"); m == nil || m.ID != "new" {
		t.Errorf("by name %+v", m)
	}
	if m := v.ByAddr(netip.MustParseAddr("::ffff:10.0.0.2")); m == nil || m.ID != "new" || m.Proxy().Port() != 3128 || m.ICP().IsValid() {
		t.Errorf("by address %+v", m)
	}
	// Where it cannot be heard it may be there: of two sides of a split that heals,
	// one knows the other first.
	if m := v.ByAddr(netip.MustParseAddr("10.0.0.3")); m == nil || m.ID != "cut off" {
		t.Errorf("by address %+v", m)
	}
	if m := v.ByAddr(netip.MustParseAddr("10.0.0.4")); m != nil {
		t.Errorf("by address of one that left %+v", m)
	}
	if v.ByID("x") != nil || v.ByName("x") != nil || v.Me() != nil {
		t.Error("found what is not there")
	}
}
