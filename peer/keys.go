package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const pathKeys = "/keys"

// keysMessage changes the keys of a member: one step of a rotation.
type keysMessage struct {
	Step string `json:"step"` // install, use, retire
	Key  string `json:"key"`
}

// The steps of a rotation. After each all members understand each other,
// whether they have taken it already or not.
const (
	stepInstall = "install" // accept the key too
	stepUse     = "use"     // use it
	stepRetire  = "retire"  // accept no other
)

// KeyInfo is a key without its secret.
type KeyInfo struct {
	Fingerprint string `json:"fingerprint"`
	Used        bool   `json:"used"` // else it is only accepted
}

// Keys lists the keys this node accepts.
func (c *Cluster) Keys() []KeyInfo {
	var list []KeyInfo
	for i, k := range c.Identity().Keys {
		list = append(list, KeyInfo{Fingerprint: k.Fingerprint(), Used: i == 0})
	}
	return list
}

// Rotate replaces the key on all members, while they stay in touch. Members that
// are away would be locked out, so that there must be none unless force is set.
func (c *Cluster) Rotate(ctx context.Context, force bool) (KeyInfo, error) {
	if away := c.View().Away(); len(away) > 0 && !force {
		return KeyInfo{}, &AwayError{Names: away}
	}
	k := NewKey()
	for _, step := range []string{stepInstall, stepUse, stepRetire} {
		if err := c.rotateStep(ctx, keysMessage{Step: step, Key: k.Encode()}); err != nil {
			return KeyInfo{}, err
		}
	}
	c.log.Info("the key of the cluster was replaced", "fingerprint", k.Fingerprint())
	return KeyInfo{Fingerprint: k.Fingerprint(), Used: true}, nil
}

// AwayError means that members are not there to get the new key.
type AwayError struct{ Names []string }

func (e *AwayError) Error() string {
	return fmt.Sprintf("not all members are there, and the new key would lock out %s", strings.Join(e.Names, ", "))
}

// rotateStep has every member, this one last, take one step.
func (c *Cluster) rotateStep(ctx context.Context, m keysMessage) error {
	others := c.View().Others() // anew: one may have joined meanwhile
	errs := c.tellAll(ctx, others, CallTime, func(ctx context.Context, to *Member) error {
		_, err := CallJSON[struct{}](ctx, c, to, pathKeys, m)
		return err
	})
	var failed []error
	for i, err := range errs {
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", others[i].Name, err))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s the new key, the old one stays accepted: %w", m.Step, errors.Join(failed...))
	}
	return c.changeKeys(m)
}

func (c *Cluster) answerKeys(_ context.Context, _ string, m keysMessage) (struct{}, error) {
	return struct{}{}, c.changeKeys(m)
}

// changeKeys takes one step of a rotation on this node. Steps that were taken
// already change nothing.
func (c *Cluster) changeKeys(m keysMessage) error {
	k, err := DecodeKey(m.Key)
	if err != nil {
		return &CallError{Status: 400, Message: err.Error()}
	}
	if err := c.running(context.Background()); err != nil {
		return err
	}
	c.ops.Lock()
	defer c.ops.Unlock()
	id := c.Identity()
	if id.Keys, err = stepKeys(id.Keys, k, m.Step); err != nil {
		return err
	}
	r, err := newRing(id)
	if err != nil {
		return err
	}
	if c.d.Dir != "" {
		if err := id.Save(c.d.Dir); err != nil {
			return fmt.Errorf("keep the cluster's keys: %w", err)
		}
	}
	c.mu.Lock()
	c.identity = id
	c.mu.Unlock()
	c.wire.ring.Store(r)
	c.client.CloseIdleConnections()
	return c.stay.Load().setKeys(id.Keys)
}

// stepKeys is the list of keys after a step.
func stepKeys(keys []Key, k Key, step string) ([]Key, error) {
	rest := slices.DeleteFunc(slices.Clone(keys), func(x Key) bool { return x == k })
	known := len(rest) < len(keys)
	switch {
	case step == stepInstall && !known:
		return append(slices.Clone(keys), k), nil
	case step == stepInstall:
		return keys, nil
	case !known:
		return nil, &CallError{Status: 409, Message: "the new key was never installed here"}
	case step == stepUse:
		return append([]Key{k}, rest...), nil
	case step == stepRetire:
		return []Key{k}, nil
	}
	return nil, &CallError{Status: 400, Message: fmt.Sprintf("there is no step %q", step)}
}

// setKeys has memberlist accept exactly these keys, and use the first.
func (s *stay) setKeys(keys []Key) error {
	for _, raw := range rawKeys(keys) {
		if err := s.keys.AddKey(raw); err != nil {
			return err
		}
	}
	if err := s.keys.UseKey(keys[0][:]); err != nil {
		return err
	}
	// From the end: removing another one writes into what readers hold.
	for _, raw := range slices.Backward(slices.Clone(s.keys.GetKeys())) {
		if !slices.ContainsFunc(keys, func(k Key) bool { return string(k[:]) == string(raw) }) {
			if err := s.keys.RemoveKey(raw); err != nil {
				return err
			}
		}
	}
	return nil
}
