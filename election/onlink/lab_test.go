package onlink

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/internal/netlab"
	"github.com/cachenode/cachenode/peer"
)

const labVIP = "10.9.0.100"

// Each test has a process per node: this program again, told by its environment
// to take part in the election with members that never change.
func TestMain(m *testing.M) {
	if os.Getenv("ONLINK_NODE") == "" {
		flag.Parse()
		_ = flag.Set("test.parallel", "8") // they wait most of the time
		os.Exit(m.Run())
	}
	if err := node(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func node() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	self, err := strconv.Atoi(os.Getenv("ONLINK_NODE"))
	if err != nil {
		return err
	}
	var members []peer.Member
	for i, addr := range strings.Split(os.Getenv("ONLINK_MEMBERS"), ",") {
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return err
		}
		members = append(members, peer.Member{ID: fmt.Sprintf("id%d", i), Name: fmt.Sprintf("n%d", i),
			Gossip: netip.AddrPortFrom(a, 7946), Meta: peer.Meta{Priority: 100}})
	}
	me := members[self]
	o := election.DefaultOptions()
	o.Address = os.Getenv("ONLINK_VIP")
	if err := o.Heartbeat.Set(heartbeat()); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	addr, err := Open(o, os.Getenv("ONLINK_FILE"), log)
	if err != nil {
		return err
	}
	defer addr.Close()
	if os.Getenv("ONLINK_CUTS") != "" {
		addr.Steering = nil
	}
	ln, err := netlab.ListenFree(netip.AddrPortFrom(o.Prefix().Addr(), o.Port).String())
	if err != nil {
		return err
	}
	go func() { _ = netlab.ServeBlocks(ln, me.Name) }() // until the end of the process
	moves, drains := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(moves, syscall.SIGUSR1)
	signal.Notify(drains, syscall.SIGUSR2)
	dir := peer.NewStatic(me.ID, members...)
	wire, err := election.ListenUDP(ctx, me.Gossip, me.Gossip)
	if err != nil {
		return err
	}
	defer wire.Close()
	key, err := election.DeriveKey([]byte("secret"), "lab")
	if err != nil {
		return err
	}
	e := election.New(o, election.Deps{
		Log: log, Directory: dir, Wire: wire, Keys: func() []election.Key { return []election.Key{key} },
		Address: addr, Steering: addr.Steering, Events: addr.Events, MAC: addr.MAC,
		Changed: func(s election.Status) {
			b, _ := json.Marshal(map[string]any{"At": time.Now(), "state": s.State, "reason": s.Reason, "term": s.Term, "holder": s.Holder})
			fmt.Printf("%s\n", b)
		},
	})
	g, run := errgroup.WithContext(context.WithoutCancel(ctx))
	run, cancel := context.WithCancel(run)
	defer cancel()
	g.Go(func() error { return ignoreEnd(addr.Run(run)) })
	g.Go(func() error { return e.Run(run) })
	g.Go(func() error {
		for {
			select {
			case <-moves:
				fmt.Println("moved:", e.Leave(run))
			case <-drains:
				members[self].State = peer.Draining
				dir.Set(members...)
			case <-run.Done():
				return nil
			}
		}
	})
	g.Go(func() error {
		defer cancel()
		select {
		case <-ctx.Done():
			return e.Stop(run)
		case <-run.Done():
			return nil
		}
	})
	return g.Wait()
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// heartbeat is three times the default, for machines that are busy with other
// tests. ONLINK_HEARTBEAT=100ms measures.
func heartbeat() string {
	if h := os.Getenv("ONLINK_HEARTBEAT"); h != "" {
		return h
	}
	return "300ms"
}

// lab is a number of nodes and a client on a switch.
type lab struct {
	t      *testing.T
	net    *netlab.Lab
	hosts  []*netlab.Host
	client *netlab.Host
	procs  []*netlab.Process
	// stopped are those that the test itself keeps from running.
	stopped map[int]bool
	vip     string
	arp     *netlab.Capture
	env     []string // of all nodes
	files   []string // in which the nodes keep what is to be put back
}

func newLab(t *testing.T, n int) *lab { return newLabFor(t, n, labVIP+"/24") }

func newLabFor(t *testing.T, n int, address string, env ...string) *lab {
	t.Helper()
	l := &lab{t: t, net: netlab.New(t), stopped: map[int]bool{}, env: env}
	l.vip, _, _ = strings.Cut(address, "/")
	for i := range n {
		l.hosts = append(l.hosts, l.net.Host(fmt.Sprintf("n%d", i), fmt.Sprintf("10.9.0.%d/24", i+1), fmt.Sprintf("fd09::%d/64", i+1)))
	}
	l.client = l.net.Host("client", "10.9.0.200/24", "fd09::200/64")
	l.arp = l.client.Capture(netlab.EtherTypeARP)
	l.procs = make([]*netlab.Process, n)
	for i := range n {
		l.start(i, address)
	}
	return l
}

func (l *lab) start(i int, address string) {
	l.t.Helper()
	var members []string
	for j := range l.hosts {
		members = append(members, fmt.Sprintf("10.9.0.%d", j+1))
	}
	exe, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	l.procs[i] = l.hosts[i].Start(append([]string{
		fmt.Sprintf("ONLINK_NODE=%d", i), "ONLINK_MEMBERS=" + strings.Join(members, ","), "ONLINK_VIP=" + address, "ONLINK_FILE=" + l.file(i),
	}, l.env...), exe)
}

// file is what a node keeps over its own death.
func (l *lab) file(i int) string {
	for len(l.files) <= i {
		l.files = append(l.files, filepath.Join(l.t.TempDir(), "stay.json"))
	}
	return l.files[i]
}

// holders are the hosts that have the address on their interface.
func (l *lab) holders() (list []int) {
	for i, h := range l.hosts {
		if h.Has(l.vip) {
			list = append(list, i)
		}
	}
	return list
}

// waitHolder waits until exactly one host among some has the address.
func (l *lab) waitHolder(among ...int) (int, time.Duration) {
	l.t.Helper()
	start := time.Now()
	for time.Since(start) < 30*time.Second {
		var found []int
		for _, i := range among {
			if l.hosts[i].Has(l.vip) {
				found = append(found, i)
			}
		}
		if len(found) == 1 {
			return found[0], time.Since(start)
		}
		time.Sleep(5 * time.Millisecond)
	}
	l.t.Fatalf("want one holder among %v, have %v", among, l.holders())
	return 0, 0
}

// stay watches for a while that the holders are the same.
func (l *lab) stay(d time.Duration) {
	l.t.Helper()
	before := fmt.Sprint(l.holders())
	for start := time.Now(); time.Since(start) < d; time.Sleep(20 * time.Millisecond) {
		now := fmt.Sprint(l.holders())
		if now == before {
			continue
		}
		if l.starved() {
			l.t.Skipf("this machine kept the nodes from running; holders changed from %s to %s", before, now)
		}
		l.t.Fatalf("holders changed from %s to %s after %v", before, now, time.Since(start))
	}
}

// starved reports whether a node that was not stopped by the test could not run
// for as long as it may be silent.
func (l *lab) starved() bool {
	for i, p := range l.procs {
		if !l.stopped[i] && strings.Contains(p.Output(), "kept from running") {
			return true
		}
	}
	return false
}

func (l *lab) all() (list []int) {
	for i := range l.hosts {
		list = append(list, i)
	}
	return list
}

func (l *lab) but(out int) (list []int) {
	for i := range l.hosts {
		if i != out {
			list = append(list, i)
		}
	}
	return list
}

// term is the last term that a node said it is in.
func (l *lab) term(i int) (term uint64, state string) {
	for in := bufio.NewScanner(strings.NewReader(l.procs[i].Output())); in.Scan(); {
		var c struct {
			State string
			Term  uint64
		}
		if json.Unmarshal(in.Bytes(), &c) == nil {
			term, state = c.Term, c.State
		}
	}
	return term, state
}

// clientSees is the MAC address to which the client would send.
func (l *lab) clientSees() string {
	for _, frame := range slices.Backward(l.arp.Frames()) {
		b := frame.Data
		if len(b) >= 42 && netip.AddrFrom4([4]byte(b[28:])).String() == l.vip {
			return fmt.Sprintf("%x", b[22:28])
		}
	}
	return ""
}

func (l *lab) mac(i int) string { return fmt.Sprintf("%x", []byte(l.hosts[i].MAC())) }

func pick(l *lab, which []int) (hosts []*netlab.Host) {
	for _, i := range which {
		hosts = append(hosts, l.hosts[i])
	}
	return hosts
}

// hang stops a process where it is; SIGCONT wakes it.
func (l *lab) hang(i int) {
	l.stopped[i] = true
	l.procs[i].Signal(syscall.SIGSTOP)
}
