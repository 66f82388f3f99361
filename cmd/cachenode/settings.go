package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/internal/strictyaml"
	"github.com/cachenode/cachenode/internal/units"
	"github.com/cachenode/cachenode/node"
)

// systemConfig is read when it exists and no other file is named.
const systemConfig = "/etc/cachenode/cachenode.yaml"

// settings are the configuration of a node as a command line gives it: a file,
// and flags that go before what the file says.
type settings struct {
	config                       string
	listen, allowFrom, allowTo   []string
	admin, data, accessLog, name string
	memory, disk                 units.Size
	standalone                   bool
	bind                         string
	vip, iface                   string
	vipPort                      uint16
	alsoJoin                     string // a member to join besides those configured
}

func (s *settings) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.config, "config", "", "configuration `FILE`; "+systemConfig+" is read when it exists")
	f.StringArrayVar(&s.listen, "listen", nil, "`ADDR:PORT` the proxy listens on; repeatable")
	f.StringVar(&s.admin, "admin", "", "`ADDR:PORT` of metrics, probes and the API")
	f.StringVar(&s.data, "data", "", "`DIR` of everything that is kept")
	f.StringVar(&s.name, "name", "", "`NAME` of this node in Via and in logs")
	f.Var(&s.memory, "memory", "`SIZE` of the memory tier, such as 256MiB; 0 switches it off")
	f.Var(&s.disk, "disk", "`SIZE` of the disk tier, such as 10GiB; 0 switches it off")
	f.StringVar(&s.bind, "bind", "", "this node's own `IP[:PORT]`: gossip (port 7946) and ICP, and the proxy unless --listen is given")
	f.StringVar(&s.vip, "vip", "", "the virtual IP that clients use, as `ADDRESS/LENGTH`; learnt from the cluster if not given")
	f.Uint16Var(&s.vipPort, "vip-port", 0, "`PORT` of the front door on the virtual IP (default 3128)")
	f.StringVar(&s.iface, "interface", "", "`NAME` of the interface for the virtual IP, instead of the one in its network")
	f.BoolVar(&s.standalone, "standalone", false, "be in no cluster: open no address but those of the proxy and of admin")
	f.StringArrayVar(&s.allowFrom, "allow-from", nil, "`CIDR` of clients that may use the proxy, instead of loopback and private networks; repeatable")
	f.StringArrayVar(&s.allowTo, "allow-to", nil, "`CIDR` of destinations that are otherwise refused, such as 127.0.0.0/8; repeatable")
	f.StringVar(&s.accessLog, "access-log", "", "`FILE` that gets a line per request; - is standard output")
	_ = cmd.MarkFlagDirname("data")                           // completion only
	_ = cmd.MarkFlagFilename("config", "yaml", "yml", "conf") // completion only
}

// over puts the flags that were given over o.
func (s *settings) over(cmd *cobra.Command, o *node.Options) {
	set := func(flag string, apply func()) {
		if cmd.Flags().Changed(flag) {
			apply()
		}
	}
	set("listen", func() { o.Listen = s.listen })
	set("admin", func() { o.Admin.Listen = s.admin })
	set("data", func() { o.Data = s.data })
	set("name", func() { o.Name = s.name })
	set("memory", func() { o.Store.Memory = s.memory })
	set("disk", func() { o.Store.Disk = s.disk })
	set("bind", func() { o.Cluster.Bind, o.Cluster.Port = splitBind(s.bind, o.Cluster.Port) })
	if s.alsoJoin != "" {
		o.Cluster.Join = append(slices.Clone(o.Cluster.Join), s.alsoJoin)
	}
	set("vip", func() { o.VIP.Address = s.vip })
	set("vip-port", func() { o.VIP.Port = s.vipPort })
	set("interface", func() { o.VIP.Interface = s.iface })
	set("standalone", func() { o.Standalone = s.standalone })
	set("allow-from", func() { o.ACL.AllowFrom = s.allowFrom })
	set("allow-to", func() { o.ACL.AllowTo = s.allowTo })
	set("access-log", func() { o.AccessLog.Path = fromHere(s.accessLog) })
}

// splitBind reads IP or IP:PORT; what is neither is left for validation to
// refuse.
func splitBind(s string, port int) (string, int) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return at.Addr().String(), int(at.Port())
	}
	return s, port
}

// fromHere is a path of the command line as seen from everywhere; a relative
// one in the configuration means the data directory instead.
func fromHere(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "-" && path != "" {
		return abs
	}
	return path
}

// load reads the file and puts the flags over it. The problems are those of the
// file; with errors among them there are no options.
func (s *settings) load(cmd *cobra.Command) (node.Options, strictyaml.Problems, error) {
	o, problems, err := s.read()
	if err != nil || problems.Errors() > 0 {
		return o, problems, err
	}
	s.over(cmd, &o)
	if err := o.Validate(); err != nil { // the file alone was right
		return o, problems, usage(cmd, err)
	}
	return o, problems, nil
}

// path is the file that is read; "" when there is none.
func (s *settings) path() string {
	if s.config != "" {
		return s.config
	}
	if _, err := os.Stat(systemConfig); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return systemConfig
}

func (s *settings) read() (node.Options, strictyaml.Problems, error) {
	if path := s.path(); path != "" {
		return node.Load(path)
	}
	return node.DefaultOptions(), nil, nil
}

// again is load for a reload: problems are its error.
func (s *settings) again(cmd *cobra.Command) (node.Options, error) {
	o, problems, err := s.load(cmd)
	if err == nil && problems.Errors() > 0 {
		err = problems
	}
	return o, err
}

// mustLoad is load for a command that cannot go on with a bad file.
func (s *settings) mustLoad(cmd *cobra.Command) (node.Options, error) {
	o, problems, err := s.load(cmd)
	if err != nil {
		return o, err
	}
	if n := problems.Errors(); n > 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), problems.Error())
		return o, &coded{
			err: fmt.Errorf("the configuration has %s", count(n, "error")), code: exitConfig,
			hint: "'cachenode config example' prints every key with its default",
		}
	}
	return o, nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
