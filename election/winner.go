package election

import (
	"cmp"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/peer"
)

// Reason says why the address is where it is, or nowhere.
type Reason uint8

// The reasons.
const (
	Unknown       Reason = iota
	Holds                // the holder is there and willing: it keeps the address
	OnlyOne              // nobody else could hold it
	ByPriority           // its priority is the highest
	ByHash               // of equal priorities the hash decides
	HandedOver           // the holder before gave it to this one
	NobodyWilling        // no member that is alive takes part
	NoQuorum             // less than half of the members are on this side
	HalfWithout          // half of the members, and the last holder is not among them
	HalfKeeps            // half of the members, with the last holder
	Witnessed            // one of two; the gateway answers
	NoWitness            // one of two; the gateway does not answer
	Unwitnessed          // one of two, and there is no gateway to ask
	ForeignOwner         // a machine outside the cluster answers for the address
	Contended            // another machine asked for the address at the same time
	StillAnswered        // a member that is silent still answers for it
	HigherTerm           // another member has taken it since
	CarrierLost          // the interface lost its link
	Refused              // the system did not let this node have the address
	HoldDown             // this node gave it up just now, and waits
	Stopped              // this node stops
	Starting             // this node listens before it does anything
)

var reasonTexts = [...]string{
	Unknown:       "unknown",
	Holds:         "holds it and is alive",
	OnlyOne:       "nobody else could hold it",
	ByPriority:    "highest priority",
	ByHash:        "first by hash among equal priorities",
	HandedOver:    "handed over by the holder before",
	NobodyWilling: "no willing member",
	NoQuorum:      "no quorum: less than half of the members answer",
	HalfWithout:   "no quorum: half of the members answer, the last holder does not",
	HalfKeeps:     "half of the members answer, the last holder keeps it",
	Witnessed:     "one of two members, the gateway answers",
	NoWitness:     "one of two members, the gateway does not answer",
	Unwitnessed:   "one of two members, without a gateway to ask",
	ForeignOwner:  "a machine outside the cluster has the address",
	Contended:     "another machine asked for it at the same time",
	StillAnswered: "a silent member still answers for it",
	HigherTerm:    "another member took it since",
	CarrierLost:   "the interface has no link",
	Refused:       "the system refused the address",
	HoldDown:      "gave it up a moment ago and waits",
	Stopped:       "the node stops",
	Starting:      "listens before it claims anything",
}

func (r Reason) String() string {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r]
	}
	return reasonTexts[Unknown]
}

// MarshalText gives the text.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Gateway is what the default gateway said as a witness.
type Gateway uint8

// What the gateway may say.
const (
	GatewayNone   Gateway = iota // there is none to ask
	GatewaySilent                // it does not answer
	GatewayAnswers
)

// Side is the part of the members that a node reaches.
type Side struct {
	Voters  int  // all that count, on whichever side
	Reached int  // those of them on this side, the node itself included
	Last    bool // whether the last holder is on this side
	Gateway Gateway
	Refused bool // a member that is there is against it
}

// Quorum reports whether a side may have a holder, and why. More than half may.
// Of an exact half, the one with the last holder may; of two members the other
// one too, if the gateway does not contradict.
func (s Side) Quorum() (bool, Reason) {
	switch {
	case 2*s.Reached > s.Voters:
		return true, Holds
	case 2*s.Reached < s.Voters:
		return false, NoQuorum
	case s.Last:
		return true, HalfKeeps
	case s.Voters != 2 || s.Refused:
		return false, HalfWithout
	case s.Gateway == GatewayAnswers:
		return true, Witnessed
	case s.Gateway == GatewaySilent:
		return false, NoWitness
	}
	return true, Unwitnessed
}

// Standing is what a node knows of the address beside the membership.
type Standing struct {
	Holder  string // who holds it now; empty: nobody, as far as the node knows
	Last    string // who held it last; empty: nobody ever did
	Voters  []string
	Gateway Gateway
}

// Winner says who shall hold the address in the eyes of the node whose view it
// is, by its ID; empty: nobody shall. All nodes that see the same say the same.
func Winner(v *peer.View, s Standing) (id string, why Reason) {
	side := Side{Voters: len(s.Voters), Gateway: s.Gateway}
	for _, id := range s.Voters {
		if m := v.ByID(id); m != nil && m.State.Up() {
			side.Reached++
			side.Last = side.Last || id == s.Last
		}
	}
	if ok, why := side.Quorum(); !ok {
		return "", why
	}
	if m := v.ByID(s.Holder); m != nil && m.State == peer.Alive {
		return m.ID, Holds
	}
	ranked := Ranking(v)
	switch {
	case len(ranked) > 1 && ranked[0].Priority == ranked[1].Priority:
		return ranked[0].ID, ByHash
	case len(ranked) > 1:
		return ranked[0].ID, ByPriority
	case len(ranked) == 1:
		return ranked[0].ID, OnlyOne
	}
	// A draining holder that finds nobody keeps the address until it stops.
	if m := v.ByID(s.Holder); m != nil && m.State.Up() {
		return m.ID, OnlyOne
	}
	return "", NobodyWilling
}

// Ranking are the members that may claim the address, the first to do so first:
// alive, taking part, by priority and then by a hash of the cluster and the ID.
func Ranking(v *peer.View) []peer.Member {
	ranked := slices.DeleteFunc(slices.Clone(v.Members), func(m peer.Member) bool {
		return m.State != peer.Alive || m.Priority == 0
	})
	slices.SortFunc(ranked, func(a, b peer.Member) int {
		return cmp.Or(
			cmp.Compare(b.Priority, a.Priority),
			cmp.Compare(lot(v.Cluster, b.ID), lot(v.Cluster, a.ID)),
			cmp.Compare(a.ID, b.ID))
	})
	return ranked
}

// lot is what a member draws among equals: the same on all nodes.
func lot(cluster, id string) uint64 { return xxh3.HashString(cluster + "\x00" + id) }
