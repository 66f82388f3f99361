package rival

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"text/template"

	"github.com/cachenode/cachenode/internal/units"
)

//go:embed conf
var templates embed.FS

// kind is how one proxy is set up.
type kind struct {
	program string
	pkg     string // Debian's
	owner   string // the account it changes to when it is started by root
	version string // the flag that prints it
	note    string
	prepare func(ctx context.Context, s *setting) (args []string, err error) // writes its files
}

func kinds() map[string]kind {
	return map[string]kind{
		Cachenode: {program: "cachenode", pkg: "cachenode", version: "version", prepare: prepareCachenode},
		Squid:     {program: "squid", pkg: "squid", owner: "proxy", version: "-v", prepare: prepareSquid},
		Nginx: {
			program: "nginx", pkg: "nginx-light", owner: "www-data", version: "-v", prepare: prepareNginx,
			note: "a reverse proxy with a file cache, since it has no forward mode; no CONNECT",
		},
		TrafficServer: {program: "traffic_server", pkg: "trafficserver", owner: "trafficserver", version: "-V", prepare: prepareTrafficServer},
		HAProxy: {
			program: "haproxy", pkg: "haproxy", version: "-v", prepare: prepareHAProxy,
			note: "passes bytes through to the first proxy and keeps nothing; CPU and memory are its own, beside those of that proxy",
		},
	}
}

func (k *kind) account() string {
	if k.owner == "" || os.Geteuid() != 0 {
		return ""
	}
	return k.owner
}

// setting is what the templates are filled with.
type setting struct {
	Options
	Addr    string
	Dir     string
	Account string // "": it stays who started it
	env     []string
}

// User is the account for configurations that name it only if it changes.
func (s *setting) User() string { return s.Account }

// largest bounds the objects that are kept.
const largest = 512 * units.MiB

// MemoryMB and the like are sizes in the units of the configurations.
func (s *setting) MemoryMB() int64  { return int64(s.Memory / units.MiB) }
func (s *setting) DiskMB() int64    { return int64(s.Disk / units.MiB) }
func (s *setting) LargestMB() int64 { return int64(largest / units.MiB) }

// CacheMB is for those that have only one cache.
func (s *setting) CacheMB() int64 { return int64(max(s.Disk, s.Memory, 64*units.MiB) / units.MiB) }

// MemoryBytes is for those that cannot be without a memory cache.
func (s *setting) MemoryBytes() int64 { return max(int64(s.Memory), 1) }

// CutoffBytes is the largest object in the memory cache.
func (s *setting) CutoffBytes() int64 { return max(min(int64(largest), int64(s.Memory)), 1) }

// Port is that of Addr.
func (s *setting) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// fill writes a configuration.
func (s *setting) fill(name string) (path string, err error) {
	t, err := template.ParseFS(templates, "conf/"+name+".tmpl")
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.Dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return "", err
	}
	if err := t.Execute(f, s); err != nil {
		_ = f.Close() // the first error says more
		return "", err
	}
	return path, f.Close()
}

// giveAway makes the directory that of the account the proxy changes to.
func (s *setting) giveAway() error {
	if s.Account == "" {
		return nil
	}
	u, err := user.Lookup(s.Account)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return filepath.WalkDir(s.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func prepareCachenode(_ context.Context, s *setting) ([]string, error) {
	admin, err := freeAddr()
	return []string{
		"run", "--standalone", "--name", "bench", "--listen", s.Addr, "--admin", admin, "--data", filepath.Join(s.Dir, "data"),
		"--memory", s.Memory.String(), "--disk", s.Disk.String(), "--allow-from", "127.0.0.0/8", "--allow-to", "127.0.0.0/8",
		"--access-log", filepath.Join(s.Dir, "access.log"),
	}, err
}

func prepareSquid(ctx context.Context, s *setting) ([]string, error) {
	conf, err := s.fill("squid.conf")
	if err != nil {
		return nil, err
	}
	args := []string{"-n", "bench" + s.Port(), "-f", conf}
	if s.Disk > 0 { // the folders of its store are made by a run of their own
		if err := s.giveAway(); err != nil {
			return nil, err
		}
		out, err := exec.CommandContext(ctx, s.Binary, append(args, "-z", "-N")...).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("squid -z: %w: %s", err, out)
		}
	}
	return append(args, "-N"), nil
}

func prepareNginx(_ context.Context, s *setting) ([]string, error) {
	conf, err := s.fill("nginx.conf")
	return []string{"-p", s.Dir, "-e", filepath.Join(s.Dir, "error.log"), "-c", conf}, err
}

func prepareHAProxy(_ context.Context, s *setting) ([]string, error) {
	conf, err := s.fill("haproxy.cfg")
	return []string{"-db", "-f", conf}, err
}

// prepareTrafficServer makes a run root: a copy of the system's configuration
// with our records, and all of its folders in ours.
func prepareTrafficServer(_ context.Context, s *setting) ([]string, error) {
	for _, dir := range []string{"log", "run", "cache", "var"} {
		if err := os.Mkdir(filepath.Join(s.Dir, dir), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.CopyFS(filepath.Join(s.Dir, "etc"), os.DirFS("/etc/trafficserver")); err != nil {
		return nil, err
	}
	if s.Account == "" {
		if u, err := user.Current(); err == nil {
			s.Account = u.Username
			defer func() { s.Account = "" }()
		}
	}
	records, err := s.fill("records.config")
	if err != nil {
		return nil, err
	}
	if err := os.Rename(records, filepath.Join(s.Dir, "etc", "records.config")); err != nil {
		return nil, err
	}
	files := map[string]string{
		"etc/storage.config": fmt.Sprintf("%s/cache %dM\n", s.Dir, s.CacheMB()),
		"etc/remap.config":   "", "etc/plugin.config": "",
		"runroot.yaml": fmt.Sprintf("prefix: /usr\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/sbin\nsysconfdir: %[1]s/etc\n"+
			"datadir: %[1]s/var\nincludedir: /usr/include\nlibdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\n"+
			"localstatedir: %[1]s/var\nruntimedir: %[1]s/run\nlogdir: %[1]s/log\ncachedir: %[1]s/cache\n", s.Dir),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	s.env = []string{"TS_RUNROOT=" + filepath.Join(s.Dir, "runroot.yaml")}
	return []string{"--run-root=" + filepath.Join(s.Dir, "runroot.yaml")}, nil
}
