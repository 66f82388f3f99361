package election

import (
	"slices"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// voters are the members that count for quorum: those that take part in the
// election, whether they answer or not. One that said good-bye counts no more.
// One that is gone without a word is forgotten once the others, more than half
// of all, have lived without it for a while; so a cluster can lose one machine
// after the other and still have a holder. The smaller side of a split never
// forgets anybody, so its members cannot outvote anybody later.
type voters struct {
	forgotten map[string]bool
}

// count gives the IDs of those that count in a view, in order.
func (f *voters) count(v *peer.View) []string {
	var ids []string
	for i := range v.Members {
		m := &v.Members[i]
		if m.Priority != 0 && m.State != peer.Left && !f.forgotten[m.ID] {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// update forgets members that have failed for at least after, and remembers
// those that came back. held says that a holder is known and answers.
func (f *voters) update(v *peer.View, now time.Time, after time.Duration, held bool) {
	for i := range v.Members {
		if m := &v.Members[i]; m.State != peer.Failed {
			delete(f.forgotten, m.ID)
		}
	}
	all := f.count(v)
	up := 0
	for _, id := range all {
		if v.ByID(id).State.Up() {
			up++
		}
	}
	if !held || 2*up <= len(all) {
		return
	}
	for i := range v.Members {
		m := &v.Members[i]
		if m.State == peer.Failed && now.Sub(m.Since) >= after {
			if f.forgotten == nil {
				f.forgotten = map[string]bool{}
			}
			f.forgotten[m.ID] = true
		}
	}
}
