package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	pathGoodbye = "/goodbye"
	pathForget  = "/forget"
	goodbyeTime = 500 * time.Millisecond
)

// goodbyeMessage is what a member says before it goes.
type goodbyeMessage struct {
	Left bool `json:"left"` // it is no member any more; else it will be back
}

// forgetMessage names a member that is gone for good.
type forgetMessage struct {
	ID string `json:"id"`
}

// handleOwn answers the calls this package makes.
func (c *Cluster) handleOwn() {
	c.Handle(pathHello, HandleJSON(c.answerHello))
	c.Handle(pathKeys, HandleJSON(c.answerKeys))
	c.Handle(pathGoodbye, HandleJSON(func(_ context.Context, from string, g goodbyeMessage) (struct{}, error) {
		bye := byeStop
		if g.Left {
			bye = byeLeft
		}
		c.do(func() { c.roster.goodbye(from, bye) })
		return struct{}{}, nil
	}))
	c.Handle(pathForget, HandleJSON(func(_ context.Context, _ string, f forgetMessage) (struct{}, error) {
		c.do(func() { c.forget(f.ID) })
		return struct{}{}, nil
	}))
}

// sayGoodbye tells the others and gossip that this node goes. The caller holds
// ops.
func (c *Cluster) sayGoodbye(bye farewell) {
	others := c.View().Others()
	if len(others) == 0 {
		return
	}
	// Gossip alone would not tell who stops from who leaves, or who died.
	c.tellAll(context.Background(), others, goodbyeTime, func(ctx context.Context, m *Member) error {
		_, err := CallJSON[struct{}](ctx, c, m, pathGoodbye, goodbyeMessage{Left: bye == byeLeft})
		return err
	})
	if err := c.stay.Load().list.Leave(goodbyeTime); err != nil {
		c.log.Debug("say good-bye", "error", err)
	}
}

// tellAll calls every member at the same time and returns their errors, in the
// order of members.
func (c *Cluster) tellAll(ctx context.Context, members []Member, limit time.Duration, call func(context.Context, *Member) error) []error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i := range members {
		wg.Go(func() { errs[i] = call(ctx, &members[i]) })
	}
	wg.Wait()
	return errs
}

// ErrAlone means that there is no other member.
var ErrAlone = errors.New("this node is alone in its cluster: there is nothing to leave")

// Leave takes this node out of its cluster for good. It runs on as the only
// member of a new one.
func (c *Cluster) Leave() error {
	if err := c.running(context.Background()); err != nil {
		return err
	}
	c.ops.Lock()
	defer c.ops.Unlock()
	if len(c.View().Members) <= 1 {
		return ErrAlone
	}
	was := c.Identity()
	c.sayGoodbye(byeLeft)
	if err := c.move(NewIdentity(c.o.Name, time.Now())); err != nil {
		return fmt.Errorf("leave %s: %w", was.Name, err)
	}
	c.log.Info("left the cluster", "cluster", was.Name)
	return nil
}

// Forget has all members forget one that is not up.
func (c *Cluster) Forget(ctx context.Context, name string) error {
	v := c.View()
	m := v.ByName(name)
	if m == nil {
		m = v.ByID(name)
	}
	switch {
	case m == nil:
		return &CallError{Status: 404, Message: fmt.Sprintf("there is no member %q", name)}
	case m.State.Up():
		return &CallError{Status: 409, Message: fmt.Sprintf("%s is %s: only a member that is gone can be forgotten", name, m.State)}
	}
	c.tellAll(ctx, v.Others(), CallTime, func(ctx context.Context, to *Member) error {
		_, err := CallJSON[struct{}](ctx, c, to, pathForget, forgetMessage{ID: m.ID})
		return err
	})
	c.do(func() { c.forget(m.ID) })
	return nil
}

func (c *Cluster) forget(id string) {
	if c.roster.forget(id) {
		c.changed()
	}
}
