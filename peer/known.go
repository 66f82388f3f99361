package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// KnownName is the file of the nodes that were met, in the data directory.
const KnownName = "peers.json"

// known is what is kept of a roster, so that a node that starts finds the
// others.
type known struct {
	Cluster string           `json:"cluster"` // id
	Members []knownMember    `json:"members"`
	Strays  []netip.AddrPort `json:"strays,omitempty"`
}

type knownMember struct {
	ID    string           `json:"id"`
	Name  string           `json:"name"`
	Addrs []netip.AddrPort `json:"addrs"` // of its gossip
	Left  bool             `json:"left,omitempty"`
	Away  bool             `json:"away,omitempty"` // it said that it stops
	Card  []byte           `json:"card,omitempty"` // what it last told of itself
	Since time.Time        `json:"since"`
}

// known is what is to be kept.
func (r *roster) known(clusterID string) known {
	k := known{Cluster: clusterID, Members: []knownMember{}, Strays: slices.Clone(r.strays)}
	for id, e := range r.entries {
		if id == r.self {
			continue
		}
		c := card{Name: e.Name, Meta: e.Meta}
		k.Members = append(k.Members, knownMember{
			ID: id, Name: e.Name, Addrs: slices.Clone(e.addrs), Left: e.bye == byeLeft, Away: e.bye == byeStop,
			Card: encodeCard(&c), Since: e.Since.UTC(),
		})
	}
	slices.SortFunc(k.Members, func(a, b knownMember) int { return strings.Compare(a.ID, b.ID) })
	return k
}

// recall takes what was kept into a new roster: nobody is up yet.
func (r *roster) recall(k known) {
	for _, m := range k.Members {
		if m.ID == "" || m.ID == r.self || len(m.Addrs) == 0 {
			continue
		}
		e := &entry{Member: Member{ID: m.ID, Name: m.Name, State: Failed, Since: m.Since, Gossip: m.Addrs[0]}, addrs: m.Addrs}
		if c, err := parseCard(m.Card); err == nil {
			e.Meta = c.Meta
		}
		switch {
		case m.Left:
			e.bye, e.State = byeLeft, Left
		case m.Away:
			e.bye, e.State = byeStop, Left
		}
		r.entries[m.ID] = e
	}
	for _, a := range k.Strays {
		r.stray(a)
	}
}

// loadKnown reads the file. A damaged one is as good as none, with an error to
// log; what belongs to another cluster is none.
func loadKnown(dir, clusterID string) (k known, err error) {
	b, err := os.ReadFile(filepath.Join(dir, KnownName))
	if errors.Is(err, fs.ErrNotExist) {
		return known{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return known{}, fmt.Errorf("read the members that were met: %w", err)
	}
	if k.Cluster != clusterID {
		return known{}, nil
	}
	return k, nil
}

// HasMet reports whether the node of a data directory has met other members of
// its cluster that it would look for.
func HasMet(dir string, id Identity) bool {
	k, err := loadKnown(dir, id.ID)
	return err == nil && slices.ContainsFunc(k.Members, func(m knownMember) bool { return !m.Left })
}
