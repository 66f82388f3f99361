package steer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/netlab"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// world is a virtual address that moves between hosts, and a client of it.
type world struct {
	t      *testing.T
	lab    *netlab.Lab
	hosts  []*netlab.Host
	client *netlab.Host
	addr   netip.Addr
	device string
}

// The devices that a host may have the address on.
const (
	ether  = netlab.Interface
	vlan   = "eth0.7"
	bridge = "br1" // with eth0 as its port
)

// newWorld has hosts with a server each; the first has the address.
func newWorld(t *testing.T, n int, addr netip.Addr, device string) *world {
	t.Helper()
	need(t)
	w := &world{t: t, lab: netlab.New(t), addr: addr, device: device}
	for i := range n {
		w.hosts = append(w.hosts, w.lab.Host(fmt.Sprintf("n%d", i)))
		w.configure(w.hosts[i], i+1)
		w.serve(i)
	}
	w.client = w.lab.Host("client")
	w.configure(w.client, 200)
	w.put(0, "add", w.device)
	return w
}

func (w *world) configure(h *netlab.Host, number int) {
	w.t.Helper()
	switch w.device {
	case vlan:
		if err := h.IP("link", "add", "link", ether, "name", vlan, "type", "vlan", "id", "7"); err != nil {
			w.t.Skip("this kernel has no VLAN interfaces: ", err)
		}
		w.ip(h, "link", "set", vlan, "up")
	case bridge:
		w.ip(h, "link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
		w.ip(h, "link", "set", ether, "master", bridge)
		w.ip(h, "link", "set", bridge, "address", h.MAC().String(), "up")
	}
	w.ip(h, "address", "add", fmt.Sprintf("10.9.0.%d/24", number), "dev", w.device)
	w.ip(h, "address", "add", fmt.Sprintf("fd09::%d/64", number), "dev", w.device, "nodad")
}

func (w *world) ip(h *netlab.Host, args ...string) {
	w.t.Helper()
	if err := h.IP(args...); err != nil {
		w.t.Fatal(err)
	}
}

// serve starts a server at the address, wherever that is.
func (w *world) serve(i int) {
	w.t.Helper()
	var ln net.Listener
	err := w.hosts[i].Do(func() (err error) {
		ln, err = netlab.ListenFree(w.at())
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ln.Close() })
	name := w.hosts[i].Name
	go func() { _ = netlab.ServeBlocks(ln, name) }()
}

func (w *world) at() string { return netip.AddrPortFrom(w.addr, port).String() }

// put adds the address to a device of a host, or deletes it.
func (w *world) put(i int, what, device string) {
	w.t.Helper()
	args := []string{"address", what, netip.PrefixFrom(w.addr, w.addr.BitLen()).String(), "dev", device}
	if w.addr.Is6() && what == "add" {
		args = append(args, "nodad")
	}
	w.ip(w.hosts[i], args...)
}

// quieten keeps a host from answering for addresses of lo, and from asking in
// their names.
func (w *world) quieten(i int) {
	w.t.Helper()
	err := w.hosts[i].Do(func() error {
		conf := "/proc/sys/net/ipv4/conf/" + w.device + "/"
		return errors.Join(os.WriteFile(conf+"arp_ignore", []byte("1"), 0), os.WriteFile(conf+"arp_announce", []byte("2"), 0))
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// forward lets a host send packets on to another.
func (w *world) forward(from, to int) *Forwarder {
	w.t.Helper()
	f, err := w.tryForward(from, to)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := f.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return f
}

func (w *world) tryForward(from, to int) (f *Forwarder, err error) {
	ifi := device(w.t, w.hosts[from], w.device)
	err = w.hosts[from].Do(func() (err error) {
		f, err = Forward(Config{Interface: ifi, Address: w.addr, Port: port, To: w.hosts[to].MAC()})
		return err
	})
	return f, err
}

// move moves the address as the holders do it; the client asks anew where it is.
func (w *world) move(from, to int) {
	w.t.Helper()
	w.put(to, "add", w.device)
	w.quieten(from)
	w.put(from, "add", "lo")
	w.put(from, "del", w.device)
	w.ip(w.client, "neighbour", "flush", "dev", w.device)
}

// download begins one that a host is to serve.
func (w *world) download(i int) *netlab.Download {
	w.t.Helper()
	d := w.client.Download(w.at())
	if d.From != w.hosts[i].Name {
		w.t.Errorf("served by %s, want %s", d.From, w.hosts[i].Name)
	}
	return d
}

func (w *world) finish(d *netlab.Download) {
	w.t.Helper()
	if err := d.Finish(); err != nil {
		w.t.Errorf("the download from %s: %v", d.From, err)
	}
}

// kinds runs a test for both families and all devices.
func kinds(t *testing.T, hosts int, test func(t *testing.T, w *world)) {
	for name, tc := range map[string]struct {
		addr   netip.Addr
		device string
	}{
		"IPv4":           {vip4, ether},
		"IPv6":           {vip6, ether},
		"IPv4 in a VLAN": {vip4, vlan},
		"IPv6 in a VLAN": {vip6, vlan},
		"IPv4, bridge":   {vip4, bridge},
		"IPv6, bridge":   {vip6, bridge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, hosts, tc.addr, tc.device))
		})
	}
}

// A download outlives the move, new connections go to the new holder.
func TestDownloadOutlivesTheMove(t *testing.T) {
	kinds(t, 2, func(t *testing.T, w *world) {
		d := w.download(0)
		d.GoesOn(1 << 20)
		f := w.forward(1, 0)
		w.move(0, 1)
		d.GoesOn(8 << 20)
		w.finish(w.download(1))
		if c := f.Count(); c.Forwarded == 0 {
			t.Errorf("nothing was sent on: %+v", c)
		}
		w.finish(d)
	})
}

// Without the program the same download is reset: the test above could fail.
func TestDownloadWithoutTheProgram(t *testing.T) {
	kinds(t, 2, func(t *testing.T, w *world) {
		d := w.download(0)
		d.GoesOn(1 << 20)
		w.move(0, 1)
		if err := d.Breaks(); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the download ended with %v", err)
		}
		w.finish(w.download(1))
	})
}

// A connection of the first holder outlives two moves: the last holder sends to
// the one before, and that one sends on. When that one is through, the last one
// sends to the first itself.
func TestChainOfMoves(t *testing.T) {
	kinds(t, 3, func(t *testing.T, w *world) {
		first := w.download(0)
		w.forward(1, 0)
		w.move(0, 1)
		second := w.download(1)
		last := w.forward(2, 1)
		w.move(1, 2)
		third := w.download(2)
		for _, d := range []*netlab.Download{first, second, third} {
			d.GoesOn(2 << 20)
		}
		w.finish(second)
		before := last.Count()
		if err := last.Redirect(w.hosts[0].MAC()); err != nil {
			t.Fatal(err)
		}
		first.GoesOn(2 << 20)
		if after := last.Count(); after.Forwarded <= before.Forwarded {
			t.Errorf("counted %d before, %d after", before.Forwarded, after.Forwarded)
		}
		w.finish(first)
		w.finish(third)
	})
}

// Three machines that each believe another to be the holder before them do not
// send a packet round and round: the last one answers it.
func TestNoLoops(t *testing.T) {
	w := newWorld(t, 3, vip4, ether)
	var ring []*Forwarder
	for i := range w.hosts {
		ring = append(ring, w.forward(i, (i+1)%3))
		if i > 0 {
			w.put(i, "add", "lo") // as on machines that had it before
			w.quieten(i)
		}
	}
	answers := w.client.Capture(unix.ETH_P_IP)
	var conn *packet.Conn
	err := w.client.Do(func() (err error) {
		ifi, err := net.InterfaceByName(ether)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_IP, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := frame{to: w.hosts[0].MAC(), from: w.client.MAC()}
	segment := tcp(5000, port, flagACK)
	copy(segment[16:], checksum(segment))
	f.payload = segment
	if _, err := conn.WriteTo(f.bytes(), &packet.Addr{HardwareAddr: f.to}); err != nil {
		t.Fatal(err)
	}
	until(t, "a machine answers with a reset", func() bool {
		for _, a := range answers.Frames() {
			if len(a.Data) >= 54 && a.Data[23] == 6 && a.Data[47]&4 != 0 {
				return true
			}
		}
		return false
	})
	var hops uint64
	for _, f := range ring {
		hops += f.Count().Forwarded
	}
	if hops != 7 {
		t.Errorf("sent on %d times, want 7", hops)
	}
}

// checksum is that of a segment from the client to the virtual address.
func checksum(segment []byte) []byte {
	pseudo := append(client4.AsSlice(), vip4.AsSlice()...)
	pseudo = append(pseudo, 0, 6, 0, byte(len(segment)))
	sum := ^sum16(append(pseudo, segment...))
	return []byte{byte(sum >> 8), byte(sum)}
}

// Two machines that take each other for the one before do not either.
func TestNoReturn(t *testing.T) {
	w := newWorld(t, 2, vip4, ether)
	forth := w.forward(0, 1)
	d := w.download(0)
	back := w.forward(1, 0)
	w.move(0, 1)
	d.GoesOn(1 << 20)
	w.finish(d)
	if forth.Count().Forwarded != 0 || back.Count().Forwarded == 0 {
		t.Errorf("sent on %d and %d times", forth.Count().Forwarded, back.Count().Forwarded)
	}
}

// Nothing of a program outlives a process that is killed.
func TestKilledProcessLeavesNothing(t *testing.T) {
	w := newWorld(t, 1, vip4, ether)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := w.hosts[0].Start([]string{"STEER_FORWARD=1"}, exe, "-test.run=^TestForwardsUntilKilled$", "-test.v")
	until(t, "the process forwards", func() bool { return len(w.attached(0)) == 1 })
	p.Kill()
	until(t, "the program is gone", func() bool { return len(w.attached(0)) == 0 })
}

// attached are the programs at the entrance of a host.
func (w *world) attached(i int) []link.AttachedProgram {
	w.t.Helper()
	index := device(w.t, w.hosts[i], w.device).Index
	var found *link.QueryResult
	err := w.hosts[i].Do(func() (err error) {
		found, err = link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found.Programs
}

// TestForwardsUntilKilled is the process of TestKilledProcessLeavesNothing.
func TestForwardsUntilKilled(t *testing.T) {
	if os.Getenv("STEER_FORWARD") == "" {
		t.Skip("is run by TestKilledProcessLeavesNothing")
	}
	ifi, err := net.InterfaceByName(ether)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Forward(Config{Interface: ifi, Address: vip4, Port: port, To: toMAC}); err != nil {
		t.Fatal(err)
	}
	select {}
}

func TestConfigsThatCannotBe(t *testing.T) {
	ifi := &net.Interface{Index: 1, HardwareAddr: clientMAC}
	for name, c := range map[string]Config{
		"no interface": {Address: vip4, Port: port, To: toMAC},
		"no Ethernet":  {Interface: &net.Interface{Index: 1}, Address: vip4, Port: port, To: toMAC},
		"no address":   {Interface: ifi, Port: port, To: toMAC},
		"no port":      {Interface: ifi, Address: vip4, To: toMAC},
		"nowhere":      {Interface: ifi, Address: vip4, Port: port},
		"to itself":    {Interface: ifi, Address: vip4, Port: port, To: clientMAC},
	} {
		if err := c.validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What a process lacks is said in words.
func TestWithoutPrivilege(t *testing.T) {
	need(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := checkWithout(t, exe, unix.CAP_BPF, unix.CAP_SYS_ADMIN)
	for _, want := range []string{"cannot be handed over to this machine", "CAP_BPF"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
}

// The two capabilities of which the unit of systemd speaks are enough.
func TestLeastPrivilege(t *testing.T) {
	need(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var others []uintptr
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if c != unix.CAP_BPF && c != unix.CAP_NET_ADMIN {
			others = append(others, c)
		}
	}
	if out := checkWithout(t, exe, others...); !strings.Contains(out, "check: <nil>") {
		t.Error(out)
	}
}

// checkWithout runs this program's TestChecks as a root without capabilities.
func checkWithout(t *testing.T, exe string, capabilities ...uintptr) string {
	t.Helper()
	cmd := exec.Command(exe, "-test.run=^TestChecks$", "-test.v")
	cmd.Env = append(os.Environ(), "STEER_CHECK=1")
	var out []byte
	var err error
	done := make(chan struct{})
	go func() { // on a thread that ends with this function
		defer close(done)
		runtime.LockOSThread()
		for _, c := range capabilities {
			if err = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return
			}
		}
		out, err = cmd.CombinedOutput()
	}()
	<-done
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestChecks is the process of checkWithout.
func TestChecks(t *testing.T) {
	if os.Getenv("STEER_CHECK") == "" {
		t.Skip("is run by TestWithoutPrivilege and TestLeastPrivilege")
	}
	t.Log("check:", Check())
}
