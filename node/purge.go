package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/peer"
	"github.com/cachenode/cachenode/peer/purges"
)

const (
	pathPurge  = "/purge"
	pathPurges = "/purges"
	// purgeTime bounds the wait for the others; who has not answered by then
	// purges when it is in step again.
	purgeTime = 10 * time.Second
	// inStepEvery is how often a member is asked for purges that were missed
	// although it was there.
	inStepEvery = time.Minute
)

// purgeLog is what this node has purged, and missed.
type purgeLog struct {
	*purges.Log            // nil: standalone
	catching    sync.Mutex // held while missed purges are carried out
}

func (n *Node) openPurges() error {
	log, err := purges.Open(n.o.Data)
	if err != nil {
		n.log.Warn("begin a new log of purges; the store will be emptied when the cluster is met", "error", err)
	}
	n.purges.Log = log
	n.cluster.Handle(pathPurge, peer.HandleJSON(func(ctx context.Context, _ string, p purges.Purge) (admin.NodePurge, error) {
		removed, err := n.carryOut(ctx, p)
		return admin.NodePurge{Node: n.o.Name, Objects: removed}, err
	}))
	n.cluster.Handle(pathPurges, peer.HandleJSON(func(context.Context, string, struct{}) (purges.State, error) {
		return log.State(), nil
	}))
	return nil
}

// Purge removes stored objects, on all members. URLs are taken as a client would
// ask for them.
func (v view) Purge(ctx context.Context, p admin.Purge) (admin.PurgeResult, error) {
	if _, err := match(p); err != nil {
		return admin.PurgeResult{}, badPurge(err)
	}
	n := v.n
	one := purges.Purge{
		ID: rand.Text(), At: time.Now().UTC(), By: n.o.Name, URL: p.URL, Host: p.Host, Prefix: p.Prefix, All: p.All,
	}
	removed, err := n.carryOut(ctx, one)
	res := admin.PurgeResult{Objects: removed}
	if err != nil || n.cluster == nil {
		return res, err
	}
	res.Nodes = n.purgeOthers(ctx, one, removed)
	res.Objects = 0
	for i := range res.Nodes {
		res.Objects += res.Nodes[i].Objects
	}
	return res, nil
}

// purgeOthers has every other member carry out a purge. The answers are in the
// order of the view; that of this node is own.
func (n *Node) purgeOthers(ctx context.Context, p purges.Purge, own int64) []admin.NodePurge {
	ctx, cancel := context.WithTimeout(ctx, purgeTime)
	defer cancel()
	v := n.cluster.View()
	var answers []admin.NodePurge
	var asked []*peer.Member
	for i := range v.Members {
		if m := &v.Members[i]; m.State.Up() || m.Away {
			answers = append(answers, admin.NodePurge{Node: m.Name, Later: m.Away})
			asked = append(asked, m)
		}
	}
	var wg sync.WaitGroup
	for i, m := range asked {
		if m.ID == v.Self {
			answers[i].Objects = own
		}
		if m.Away || m.ID == v.Self {
			continue
		}
		wg.Go(func() {
			a, err := peer.CallJSON[admin.NodePurge](ctx, n.cluster, m, pathPurge, p)
			answers[i].Objects = a.Objects
			if err != nil {
				answers[i].Later, answers[i].Error = true, err.Error()
			}
		})
	}
	wg.Wait()
	return answers
}

// carryOut purges on this node, and remembers that it did.
func (n *Node) carryOut(ctx context.Context, p purges.Purge) (int64, error) {
	m, err := match(admin.Purge{URL: p.URL, Host: p.Host, Prefix: p.Prefix, All: p.All})
	if err != nil {
		return 0, badPurge(err)
	}
	n.proxy.Unshare() // what is on its way shall not be stored after
	removed, err := n.store.Purge(ctx, m)
	n.proxy.Unshare() // nor what began meanwhile be joined
	if err == nil && n.purges.Log != nil {
		err = n.purges.Done(p, time.Now())
	}
	return int64(removed), err
}

// match is what a purge selects in the store.
func match(p admin.Purge) (store.Match, error) {
	m := store.Match{Host: p.Host, All: p.All}
	if err := p.Validate(); err != nil {
		return m, err
	}
	for _, u := range []struct {
		given string
		key   *string
	}{{p.URL, &m.URL}, {p.Prefix, &m.Prefix}} {
		if u.given == "" {
			continue
		}
		key, err := keyOfURL(u.given)
		if err != nil {
			return m, err
		}
		*u.key = key
	}
	return m, nil
}

func keyOfURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL: %w", s, err)
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not an absolute http or https URL", s)
	}
	return cache.Key(u), nil
}

func badPurge(err error) error {
	return &admin.Error{Status: http.StatusBadRequest, Message: "purge: " + err.Error()}
}

// catchUp carries out what was purged while this node was away. Any one member
// that answers knows.
func (n *Node) catchUp(ctx context.Context) {
	others := n.cluster.View().Others()
	for i := range others {
		if err := n.catchUpWith(ctx, &others[i]); err == nil {
			return
		} else if ctx.Err() == nil {
			n.log.Warn("ask a member for purges that were missed", "member", others[i].Name, "error", err)
		}
	}
}

// catchUpWith carries out what a member has purged, and this node has not.
func (n *Node) catchUpWith(ctx context.Context, m *peer.Member) error {
	ctx, cancel := context.WithTimeout(ctx, purgeTime)
	defer cancel()
	theirs, err := peer.CallJSON[purges.State](ctx, n.cluster, m, pathPurges, struct{}{})
	if err != nil {
		return err
	}
	n.purges.catching.Lock()
	defer n.purges.catching.Unlock()
	missing := n.purges.Missing(theirs, time.Now())
	removed := int64(0)
	var errs []error
	for _, p := range missing {
		objects, err := n.carryOut(ctx, p)
		removed += objects
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(missing) > 0 {
		n.log.Info("made up for purges that were missed", "purges", len(missing), "objects", removed, "from", m.Name)
	}
	return n.purges.InStep(theirs, time.Now())
}

// keepInStep asks each member that comes for the purges this node has missed,
// and now and then one of them all the same.
func (n *Node) keepInStep(ctx context.Context) {
	views, stop := n.cluster.Watch()
	defer stop()
	tick := time.NewTicker(inStepEvery)
	defer tick.Stop()
	up := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case v := <-views:
			now := map[string]bool{}
			for _, m := range v.Others() {
				if now[m.ID] = true; !up[m.ID] && ctx.Err() == nil {
					_ = n.catchUpWith(ctx, &m) // it is asked again in a minute
				}
			}
			up = now
		case <-tick.C:
			n.catchUp(ctx)
		}
	}
}
