package node

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/strictyaml"
)

// reloadable are the keys that take effect without a restart; a section stands
// for all of its keys.
var reloadable = []string{"acl", "cache", "access_log", "log.level", "stop_timeout"}

// Reload reads the configuration again and puts into force what needs no
// restart. An error means that everything is as it was.
func (n *Node) Reload() (admin.ReloadResult, error) {
	n.reload.Lock()
	defer n.reload.Unlock()
	n.notify(stateReloading())
	defer n.notify(stateReady)
	res, err := n.reloadOnce()
	status := &admin.ReloadStatus{Time: time.Now()}
	if err != nil {
		status.Error = err.Error()
		n.log.Error("reload: the configuration stays as it was", "error", err)
	} else {
		n.log.Info("configuration reloaded", "applied", res.Applied, "needs_restart", res.Restart)
	}
	n.lastReload.Store(status)
	return res, err
}

func (n *Node) reloadOnce() (admin.ReloadResult, error) {
	var res admin.ReloadResult
	if n.d.Load == nil {
		return res, errors.New("this node was started without a way to read its configuration again")
	}
	o, err := n.d.Load()
	if err != nil {
		return res, err
	}
	o.Resolve()
	if err := o.Validate(); err != nil {
		return res, err
	}
	for _, key := range changes(n.Options(), o) {
		if isReloadable(key) {
			res.Applied = append(res.Applied, key)
		} else {
			res.Restart = append(res.Restart, key)
		}
	}
	return res, n.apply(o, res.Applied)
}

// apply makes everything new first and puts it into use only then.
func (n *Node) apply(o Options, changed []string) error {
	access, err := n.newAccess(o.ACL) // always: a file it names may have changed
	if err != nil {
		return err
	}
	policy, err := cache.NewPolicy(o.Cache)
	if err != nil {
		return err
	}
	next := n.Options()
	next.ACL, next.Cache, next.AccessLog = o.ACL, o.Cache, o.AccessLog
	next.Log.Level, next.StopTimeout = o.Log.Level, o.StopTimeout
	if slices.ContainsFunc(changed, func(key string) bool { return strings.HasPrefix(key, "access_log.") }) {
		w, err := newWriter(next, n.log)
		if err != nil {
			return err
		}
		if err := n.records.exchange(w); err != nil {
			return err
		}
	}
	n.access.Store(access)
	n.proxy.SetAccess(access)
	n.proxy.SetPolicy(policy)
	if n.d.Level != nil {
		n.d.Level.Set(o.Log.Level.Level())
	}
	n.now.Store(&next)
	return nil
}

// Reopen opens the access log anew, after a program that rotates logs has
// renamed it.
func (n *Node) Reopen() {
	if err := n.records.current().Reopen(); err != nil {
		n.log.Error("reopen the access log; the old file stays in use", "error", err)
		return
	}
	n.log.Info("access log reopened")
}

// changes lists the keys that differ, without the keys of list entries.
func changes(a, b Options) []string {
	before, after := strictyaml.Fields(a), strictyaml.Fields(b)
	var keys []string
	for i, f := range before {
		if f.Section || strings.Contains(f.Path, "[]") {
			continue
		}
		if !same(f.Value, after[i].Value) {
			keys = append(keys, f.Path)
		}
	}
	return keys
}

// same takes a list that is not given for an empty one.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func isReloadable(key string) bool {
	return slices.ContainsFunc(reloadable, func(r string) bool {
		return key == r || strings.HasPrefix(key, r+".")
	})
}
