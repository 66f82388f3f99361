package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/bench/origin"
	"github.com/cachenode/cachenode/peer"
)

// Demo is one that is ready to run.
type Demo struct {
	o       Options
	dir     directory
	origin  *origin.Server
	procs   *processes
	watch   *watcher
	traffic *traffic
	state   State
	served  bool // a node has answered

	seen chan *Seen
	keys chan byte
	news chan string // from commands under way
}

// New finds out that everything the demo needs is free, and makes its directory;
// those of demos that were killed are removed. An address that is taken is an
// *AddressError.
func New(o Options) (_ *Demo, err error) {
	o.resolve()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := o.available(); err != nil {
		return nil, err
	}
	if o.Program == "" {
		if o.Program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	d := &Demo{o: o, seen: make(chan *Seen), keys: make(chan byte), news: make(chan string)}
	removeLeft(o.Dir)
	if d.dir, err = newDirectory(o.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.dir.remove())
		}
	}()
	all, err := d.configure()
	if err != nil {
		return nil, err
	}
	if d.origin, err = origin.Listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	d.procs = newProcesses(o.Program, d.dir.lock, all)
	base := "http://" + d.origin.Addr().String()
	d.traffic = &traffic{front: o.front().String(), origin: base}
	d.state.Dir, d.state.Front, d.state.Page = d.dir.path, o.front().String(), base+origin.Prefix+"x?size=0&cc=max-age=60"
	return d, nil
}

// configure writes what the nodes are started with.
func (d *Demo) configure() (all []*child, err error) {
	var members, names, dirs []string
	for _, a := range d.o.Addresses {
		members = append(members, strconv.Quote(d.o.at(a, portGossip).String()))
	}
	token := filepath.Join(d.dir.path, "token")
	secret := peer.NewIdentity("demo", time.Now()).Token().Encode()
	if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
		return nil, err
	}
	for i, a := range d.o.Addresses {
		name := fmt.Sprintf("n%d", i+1)
		file, data := filepath.Join(d.dir.path, name+".yaml"), filepath.Join(d.dir.path, name)
		text := fmt.Sprintf(nodeConfig, name, data, d.o.at(a, portProxy), d.o.at(a, portICP), d.o.at(a, portAdmin),
			a, portGossip+d.o.Shift, strings.Join(members, ", "), token, d.o.VIP, d.o.front().Port())
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		all = append(all, &child{args: []string{"run", "--config", file}, log: filepath.Join(d.dir.path, name+".log")})
		d.state.Nodes = append(d.state.Nodes, Node{Name: name, Address: d.o.at(a, portProxy).String()})
		names, dirs = append(names, name), append(dirs, data)
	}
	d.watch = newWatcher(names, dirs)
	d.state.Data = dirs[0]
	return all, nil
}

// nodeConfig is all that a node of the demo needs to be told. The origin is on
// this machine, where a proxy does not go unless it may.
const nodeConfig = `name: %s
data: %q
listen: ["%s"]
icp: {listen: ["%s"]}
admin: {listen: "%s"}
cluster: {bind: %s, port: %d, join: [%s], token_file: %q}
vip: {address: %s/32, port: %d}
acl: {allow_to: [127.0.0.1]}
store: {memory: 32MiB, disk: 128MiB}
stop_timeout: 1s
`

// Close removes what New made. Run does it too.
func (d *Demo) Close() error {
	return errors.Join(d.origin.Close(), d.dir.remove())
}

// Run starts the nodes, shows them until ctx ends or q is pressed, ends them and
// removes all that was made. When hurry is closed they are not waited for.
func (d *Demo) Run(ctx context.Context, out io.Writer, in *os.File, hurry <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	go d.procs.run() // until stop
	d.state.Began = time.Now()
	for i := range d.procs.all {
		d.start(i)
	}
	g.Go(func() error {
		<-ctx.Done()
		return d.origin.Close()
	})
	g.Go(d.origin.Serve)
	g.Go(func() error { return d.traffic.run(ctx) })
	g.Go(func() error { return d.watch.run(ctx, d.seen) })
	view := d.open(ctx, g, out, in)
	g.Go(func() error {
		defer cancel()
		err := d.loop(ctx, g, view)
		d.tell("the nodes are stopped")
		view.show(&d.state)
		return err
	})
	err := g.Wait()
	d.procs.stop(hurry)
	return errors.Join(err, view.close(&d.state), d.Close())
}

// open chooses the view: a terminal is drawn on, and its keys are read.
func (d *Demo) open(ctx context.Context, g *errgroup.Group, out io.Writer, in *os.File) shower {
	f, ok := out.(*os.File)
	if !ok || !isTerminal(f) {
		return &lines{out: out}
	}
	if isTerminal(in) {
		g.Go(func() error { return readKeys(ctx, in, d.keys) })
	}
	return openScreen(f, in)
}

// loop is the only one that touches the state and the processes.
// An error means that there is nothing to show: no node can run.
func (d *Demo) loop(ctx context.Context, g *errgroup.Group, view shower) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		d.state.Now, d.state.Load.On = time.Now(), d.traffic.on.Load()
		view.show(&d.state)
		select {
		case <-ctx.Done():
			return nil
		case seen := <-d.seen:
			if d.state.Holder == "" && seen.Holder != "" && !d.o.Quiet {
				d.traffic.on.Store(true) // before, nobody is there to answer
			}
			d.state.take(seen)
			d.served = d.served || slices.ContainsFunc(seen.Nodes, func(v Vitals) bool { return v.Answers })
		case e := <-d.procs.exits:
			d.ended(e)
			if err := d.hopeless(e.index); err != nil {
				return err
			}
		case text := <-d.news:
			d.tell("%s", text)
		case <-second.C:
			d.second()
		case k := <-d.keys:
			if k == 'q' {
				return nil
			}
			d.key(ctx, g, k)
		}
	}
}

func (d *Demo) tell(format string, args ...any) { d.state.tell(time.Now(), format, args...) }

func (d *Demo) start(i int) {
	n := &d.state.Nodes[i]
	if err := d.procs.start(i); err != nil {
		n.Ended = "not started"
		d.tell("%s cannot be started: %v", n.Name, err)
		return
	}
	n.PID, n.Ended = d.procs.all[i].cmd.Process.Pid, ""
}

// ended shows that a process has gone, whoever ended it.
func (d *Demo) ended(e exit) {
	n, c := &d.state.Nodes[e.index], d.procs.all[e.index]
	c.up = false
	n.PID, n.Ended, n.Answers = 0, e.how, false
	switch {
	case c.again:
		d.tell("%s has stopped and is started again", n.Name)
		d.start(e.index)
	case strings.HasPrefix(e.how, "exit "):
		d.tell("%s has ended by itself, %s: %s", n.Name, e.how, lastWords(c.log))
	default:
		d.tell("the process of %s has ended: %s", n.Name, e.how)
	}
}

// hopeless is why no node runs, if none ever has.
func (d *Demo) hopeless(last int) error {
	if d.served || d.procs.running() > 0 {
		return nil
	}
	return fmt.Errorf("no node starts: %s", lastWords(d.procs.all[last].log))
}

// second counts the traffic of the last second.
func (d *Demo) second() {
	tally, why := d.traffic.since()
	if text := d.state.Load.second(tally, why); text != "" {
		d.tell("%s", text)
	}
}

// key does what a key asks for, with the chosen node.
func (d *Demo) key(ctx context.Context, g *errgroup.Group, k byte) {
	i := d.state.Chosen
	n, c := &d.state.Nodes[i], d.procs.all[i]
	switch {
	case k >= '1' && int(k-'1') < len(d.state.Nodes):
		d.state.Chosen = int(k - '1')
	case k == 'l':
		d.traffic.on.Store(!d.traffic.on.Load())
	case k == 'r' && c.up:
		c.again = true
		d.procs.signal(i, syscall.SIGTERM)
	case k == 'r':
		d.start(i)
	case k == 'k' && c.up:
		d.procs.signal(i, syscall.SIGKILL)
	case k == 'd' && c.up:
		name, dir, back := n.Name, d.watch.dirs[i], n.Member == "draining"
		g.Go(func() error {
			if err := drain(ctx, name, dir, back); err != nil {
				d.report(ctx, fmt.Sprintf("%s cannot do that: %v", name, err))
			}
			return nil
		})
	}
}

// drain takes a node out of service, or back.
func drain(ctx context.Context, name, dir string, back bool) error {
	c, err := admin.DialDir(ctx, dir)
	if err != nil {
		return err
	}
	defer c.Close()
	if back {
		_, err = c.Undrain(ctx, name)
	} else {
		_, err = c.Drain(ctx, name, admin.DrainOrder{Message: "demo"})
	}
	return err
}

// report brings news to the loop.
func (d *Demo) report(ctx context.Context, text string) {
	select {
	case d.news <- text:
	case <-ctx.Done():
	}
}
