package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/node"
)

func newRun() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Start a node",
		Long: `run starts a node and stays in the foreground until it is told to stop.

SIGINT (Ctrl-C) and SIGTERM stop it: it hands the virtual IP over, and requests in
flight may end, up to stop_timeout; a second one stops it at once. Who has longer
than that drains it first: 'cachenode drain'. SIGHUP reads the configuration
again and puts into force what needs no restart. SIGUSR1 opens the access log
anew, for a program that has rotated it.

The first start makes a cluster of this one node; 'cachenode token --line' prints
the line that others join it with. --bind names the node's own address, which
lets several nodes run on one machine. With --standalone there is no cluster.`,
		Example: `  cachenode run
  cachenode run --listen 127.0.0.1:8080 --memory 512MiB --disk 50GiB
  cachenode run --config ./cachenode.yaml --access-log -
  cachenode run --name n1 --bind 127.0.0.11 --data ./n1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd, &s) },
	}
	s.register(cmd)
	return cmd
}

func run(cmd *cobra.Command, s *settings) error {
	signals := make(chan os.Signal, 4) // more at a time say nothing new
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(signals)
	defer survivePipes()()
	said := messages(cmd.ErrOrStderr())

	o, err := s.mustLoad(cmd)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(o.Log.Level.Level())
	log := newLog(said, o.Log.Format, level)
	n, err := node.New(cmd.Context(), o, node.Deps{
		Log: log, Level: level, Version: version(), ConfigFile: s.path(),
		Load: func() (node.Options, error) { return s.again(cmd) },
	})
	if err != nil {
		return err
	}
	o = n.Options()
	for _, w := range o.Warnings() {
		log.Warn("check the configuration", "warning", w)
	}
	if !underServiceManager() {
		greet(said, n)
	}

	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	var aside sync.WaitGroup
	aside.Go(func() { node.KeepMemory(ctx, o, log) })
	ended := make(chan struct{})
	aside.Go(func() {
		c := &controls{node: n, out: said, stop: stop}
		c.obey(signals, ended)
	})
	err = n.Run(ctx)
	stop()
	close(ended)
	aside.Wait()
	return errors.Join(err, n.Close())
}

func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// controls turn signals into what a node can be told.
type controls struct {
	node  *node.Node
	out   io.Writer
	stop  func()
	asked time.Time // when it was first told to stop
}

// oneRequest is the time within which two signals count as one wish: timeout(1)
// and make(1) send to the process and to its group.
const oneRequest = 250 * time.Millisecond

func (c *controls) obey(signals <-chan os.Signal, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case s := <-signals:
			switch s {
			case syscall.SIGHUP:
				_, _ = c.node.Reload() // it has logged how that went
			case syscall.SIGUSR1:
				c.node.Reopen()
			default:
				c.end()
			}
		}
	}
}

func (c *controls) end() {
	if !c.asked.IsZero() {
		if time.Since(c.asked) < oneRequest {
			return
		}
		fmt.Fprintln(c.out, "stopping now: what is still in flight is cut")
		c.node.Abort()
		return
	}
	c.asked = time.Now()
	if n := c.node.InFlight(); n > 0 {
		fmt.Fprintf(c.out, "stopping: %s in flight may end within %v; press Ctrl-C again to stop now\n",
			count(n, "request"), c.node.Options().StopTimeout)
	}
	c.stop()
}

// underServiceManager reports that nobody reads along: what is said is logged.
func underServiceManager() bool {
	return os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("JOURNAL_STREAM") != ""
}

// greet says where the node is and how to use it.
func greet(w io.Writer, n *node.Node) {
	admin := n.AdminURL()
	if admin == "" {
		admin = "no address"
	}
	fmt.Fprintf(w, `cachenode %s
  proxy   %s, for %s
  data    %s
  admin   %s, and admin.sock in the data directory

  curl -x %[2]s http://example.com/
  chromium --proxy-server=%[2]s
  Firefox: Settings, Network Settings, Manual proxy configuration: %[6]s
`, version(), n.ProxyURL(), n.Clients(), n.Options().Data, admin, n.ProxyHostPort())
	greetCluster(w, n)
	fmt.Fprint(w, "\n  Ctrl-C stops it.\n")
}

// greetCluster says how another node joins. The token is a secret: only a person
// gets it unasked, no file and no log.
func greetCluster(w io.Writer, n *node.Node) {
	c := n.Cluster()
	if c == nil {
		return
	}
	id := c.Identity()
	fmt.Fprintf(w, "\n  cluster %s; on another machine, to add it:\n\n", id.Name)
	if isTerminal(w) {
		fmt.Fprintf(w, "  %s\n", joinLine(c.Addr().String(), id.Token().Encode()))
		return
	}
	fmt.Fprintf(w, "  %s\n\n  with the TOKEN that is printed here by: cachenode token --data %s\n",
		joinLine(c.Addr().String(), "TOKEN"), n.Options().Data)
}
