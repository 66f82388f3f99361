package node

import (
	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/internal/strictyaml"
)

//go:generate go run ../internal/configdoc

// Example is a configuration file with every key: what it means, and, switched
// off, its default.
func Example() string {
	return exampleHead + strictyaml.Print(DefaultOptions(), strictyaml.Style{Comment: Comment, Disabled: true})
}

const exampleHead = `# Configuration of cachenode. Every key is optional; what follows a # without a
# space is the default. Sizes take B, KiB, MiB, GiB, TiB (or kB, MB, GB, TB), or
# no unit for bytes; times take ms, s, m, h, d and w.
# Check a file with 'cachenode config check FILE'; after a change, 'systemctl
# reload cachenode' or SIGHUP puts into force what needs no restart.

`

// Comment is what a configuration key means, by its path; "" when it says
// nothing.
func Comment(path string) string { return comments[path] }

// Reloadable reports whether a change of the key takes effect without a restart.
func Reloadable(key string) bool { return isReloadable(key) }

// AccessRules are the access rules that o makes, one per line, in their order.
func AccessRules(o Options) ([]string, error) {
	list, err := acl.New(o.ACL)
	if err != nil {
		return nil, &Fault{Err: err, Config: true}
	}
	return list.Rules(), nil
}
