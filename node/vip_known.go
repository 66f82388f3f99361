package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/peer"
)

// keptVIP is what a node keeps of the virtual IP over a restart.
type keptVIP struct {
	sharedVIP
	election.Memory
}

// sharedVIP is what all members have in common; one that was not told learns it
// from the others.
type sharedVIP struct {
	Address   string         `json:"address"`
	Port      uint16         `json:"port"`
	Mode      election.Mode  `json:"mode"`
	Heartbeat units.Duration `json:"heartbeat"`
	Lease     units.Duration `json:"lease"`
}

func shared(o *election.Options) sharedVIP {
	return sharedVIP{Address: o.Address, Port: o.Port, Mode: o.Mode, Heartbeat: o.Heartbeat, Lease: o.Lease}
}

// over puts what was learnt over options without an address.
func (s *sharedVIP) over(o election.Options) election.Options {
	learnt := o
	learnt.Address, learnt.Port, learnt.Mode, learnt.Heartbeat, learnt.Lease = s.Address, s.Port, s.Mode, s.Heartbeat, s.Lease
	if s.Address == "" || learnt.Validate() != nil {
		return o
	}
	return learnt
}

func vipFile(dir string) string { return filepath.Join(dir, "vip.json") }

func loadVIP(file string) (k keptVIP, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return keptVIP{}, fmt.Errorf("read %s: %w", file, err)
	}
	return k, nil
}

func (k *keptVIP) save(file string) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	next := file + ".new"
	if err := os.WriteFile(next, append(b, '\n'), 0o640); err != nil {
		return fmt.Errorf("keep what is known of the virtual ip: %w", err)
	}
	return os.Rename(next, file)
}

// remember keeps the term and the last holder for the next start.
func (v *vip) remember(m election.Memory) {
	v.mu.Lock()
	v.kept.Memory = m
	v.kept.sharedVIP = shared(&v.o)
	k := v.kept
	v.mu.Unlock()
	select {
	case <-v.saves:
	default:
	}
	select {
	case v.saves <- k:
	default: // another has just put a newer one
	}
}

// saveAll writes what is to be kept until ctx ends.
func (v *vip) saveAll(ctx context.Context) {
	for {
		select {
		case k := <-v.saves:
			if err := k.save(v.file); err != nil {
				v.n.log.Warn("virtual ip", "error", err)
			}
		case <-ctx.Done():
			select {
			case k := <-v.saves:
				if err := k.save(v.file); err != nil {
					v.n.log.Warn("virtual ip", "error", err)
				}
			default:
			}
			return
		}
	}
}

const (
	learnEvery = time.Second
	learnTime  = 2 * time.Second // for one member's answer
)

// learn waits until the virtual IP is known; false: ctx has ended.
func (v *vip) learn(ctx context.Context) bool {
	for {
		if o := v.options(); o.Address != "" {
			return true
		}
		for _, m := range v.n.cluster.View().Others() {
			if v.learnFrom(ctx, &m) {
				return true
			}
		}
		wait(ctx, learnEvery)
		if ctx.Err() != nil {
			return false
		}
	}
}

func (v *vip) learnFrom(ctx context.Context, m *peer.Member) bool {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	a, err := peer.CallJSON[vipAnswer](ctx, v.n.cluster, m, pathVIP, struct{}{})
	if err != nil || a.Shared.Address == "" {
		return false
	}
	v.mu.Lock()
	o := a.Shared.over(v.o)
	learnt := o.Address != ""
	v.o = o
	v.mu.Unlock()
	if !learnt {
		v.n.log.Warn("a member told of a virtual ip that is none", "member", m.Name, "address", a.Shared.Address)
		return false
	}
	v.n.front.poke()
	v.n.log.Info("learnt the virtual ip from the cluster", "vip", o.Address, "from", m.Name)
	return true
}
