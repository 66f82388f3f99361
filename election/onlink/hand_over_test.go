package onlink

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	tcx "github.com/cilium/ebpf/link"

	"github.com/cachenode/cachenode/internal/netlab"
	"github.com/cachenode/cachenode/internal/steer"
)

const mega = 1 << 20

// families runs a test with a virtual IP of each.
func families(t *testing.T, test func(t *testing.T, address string)) {
	if reason := netlab.Missing(); reason != "" {
		t.Skip("network namespaces: " + reason)
	}
	if err := steer.Check(); errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, syscall.EPERM) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{labVIP + "/24", "fd09::100/64"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			test(t, address)
		})
	}
}

// download begins one through the holder. The one before serves the client as
// long as that has heard no announcement, of which there are several.
func (l *lab) download(holder int) (d *netlab.Download) {
	l.t.Helper()
	want := fmt.Sprintf("n%d", holder)
	eventually(l.t, "a new connection is served by "+want, func() bool {
		d = l.client.Download(netip.AddrPortFrom(netip.MustParseAddr(l.vip), 3128).String())
		if d.From == want {
			return true
		}
		l.finish(d)
		return false
	})
	d.GoesOn(mega)
	return d
}

func (l *lab) finish(d *netlab.Download) {
	l.t.Helper()
	if err := d.Finish(); err != nil {
		l.t.Errorf("the download from %s: %v", d.From, err)
	}
}

// move lets the holder hand the address over, and waits for the next one and for
// the client to know it.
func (l *lab) move(from int) int {
	l.t.Helper()
	l.procs[from].Signal(syscall.SIGUSR1)
	to, _ := l.waitHolder(l.but(from)...)
	eventually(l.t, "one holder", func() bool { return len(l.holders()) == 1 })
	if strings.Contains(l.vip, ".") {
		eventually(l.t, "the client sees it", func() bool { return l.clientSees() == l.mac(to) })
	}
	return to
}

// checkSources lets a host drop packets from where it would not send to.
func (l *lab) checkSources(h *netlab.Host) {
	l.t.Helper()
	err := h.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0) })
	if err != nil {
		l.t.Fatal(err)
	}
}

// remains are what is there of a hand-over on a host: the address on lo, ARP
// settings, a program, a file.
func (l *lab) remains(i int) (list []string) {
	l.t.Helper()
	err := l.hosts[i].Do(func() error {
		lo, err := net.InterfaceByName("lo")
		if err != nil {
			return err
		}
		addrs, err := lo.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if strings.HasPrefix(a.String(), l.vip+"/") {
				list = append(list, "address on lo")
			}
		}
		for _, name := range []string{"arp_ignore", "arp_announce"} {
			b, err := os.ReadFile("/proc/sys/net/ipv4/conf/eth0/" + name)
			if err != nil {
				return err
			}
			if v := strings.TrimSpace(string(b)); v != "0" {
				list = append(list, name+" "+v)
			}
		}
		eth, err := net.InterfaceByName(netlab.Interface)
		if err != nil {
			return err
		}
		programs, err := tcx.QueryPrograms(tcx.QueryOptions{Target: eth.Index, Attach: ebpf.AttachTCXIngress})
		if err == nil && len(programs.Programs) > 0 {
			list = append(list, "program")
		}
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := os.Stat(l.file(i)); err == nil {
		list = append(list, "file")
	}
	return list
}

func (l *lab) waitClean(which ...int) {
	l.t.Helper()
	for _, i := range which {
		eventually(l.t, fmt.Sprintf("nothing remains on n%d", i), func() bool { return len(l.remains(i)) == 0 })
	}
}

// Downloads outlive one move after the other, new connections go to the new
// holder at once, and nothing is left when they have ended.
func TestDownloadsOutliveMoves(t *testing.T) {
	families(t, func(t *testing.T, address string) {
		l := newLabFor(t, 3, address)
		for _, h := range l.hosts {
			l.checkSources(h)
		}
		first, _ := l.waitHolder(l.all()...)
		l.stay(time.Second)
		a := l.download(first)
		second := l.move(first)
		// It asks where the client is without saying that it has the address.
		if err := l.hosts[first].IP("neighbour", "flush", "dev", netlab.Interface); err != nil {
			t.Fatal(err)
		}
		a.GoesOn(8 * mega)
		if strings.Contains(address, ".") && l.clientSees() != l.mac(second) {
			t.Errorf("the client sees %s, not the holder", l.clientSees())
		}
		b := l.download(second)
		third := l.move(second)
		c := l.download(third)
		a.GoesOn(8 * mega)
		b.GoesOn(8 * mega)
		l.finish(b)
		l.finish(a)
		l.waitClean(l.all()...)
		c.GoesOn(mega)
		l.finish(c)
	})
}

// A node that stops ends when its connections have ended.
func TestStopLetsConnectionsEnd(t *testing.T) {
	families(t, func(t *testing.T, address string) {
		l := newLabFor(t, 2, address)
		first, _ := l.waitHolder(l.all()...)
		l.stay(time.Second)
		a := l.download(first)
		l.procs[first].Signal(syscall.SIGTERM)
		l.waitHolder(1 - first)
		eventually(t, "one holder", func() bool { return len(l.holders()) == 1 })
		a.GoesOn(4 * mega)
		l.finish(a)
		<-l.procs[first].Done()
		if err := l.procs[first].Err(); err != nil {
			t.Errorf("the stopped node: %v", err)
		}
		l.waitClean(l.all()...)
	})
}

// A holder that gets the address back while it stays has its connections, and
// those of the one in between go on too.
func TestHolderComesBackDuringItsStay(t *testing.T) {
	families(t, func(t *testing.T, address string) {
		l := newLabFor(t, 2, address)
		first, _ := l.waitHolder(l.all()...)
		l.stay(time.Second)
		a := l.download(first)
		second := l.move(first)
		b := l.download(second)
		if again := l.move(second); again != first {
			t.Fatalf("moved to %d", again)
		}
		a.GoesOn(4 * mega)
		b.GoesOn(4 * mega)
		c := l.download(first)
		for _, d := range []*netlab.Download{a, b, c} {
			l.finish(d)
		}
		l.waitClean(l.all()...)
	})
}

// Without the program the same download is reset.
func TestDownloadsWithoutSteering(t *testing.T) {
	families(t, func(t *testing.T, address string) {
		l := newLabFor(t, 2, address, "ONLINK_CUTS=1")
		first, _ := l.waitHolder(l.all()...)
		l.stay(time.Second)
		a := l.download(first)
		l.finish(l.download(l.move(first)))
		if err := a.Breaks(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the download ended with %v", err)
		}
	})
}

// A node that is killed while it stays leaves settings behind; when it starts
// again they are as before. The new holder stops sending to it.
func TestCrashDuringTheStay(t *testing.T) {
	families(t, func(t *testing.T, address string) {
		l := newLabFor(t, 2, address)
		first, _ := l.waitHolder(l.all()...)
		l.stay(time.Second)
		a := l.download(first)
		second := l.move(first)
		a.GoesOn(mega)
		l.procs[first].Kill()
		if err := a.Breaks(); err == nil {
			t.Error("the download goes on from a dead process")
		}
		l.finish(l.download(second))
		if l.remains(first) == nil {
			t.Error("nothing remains, so there is nothing to take away")
		}
		l.start(first, address)
		l.waitClean(first, second)
		l.finish(l.download(second))
	})
}

// A holder that is killed takes its program with it. The member that comes next
// sends the first one's connections on, though nobody handed it the address.
func TestNextHolderDies(t *testing.T) {
	families(t, func(t *testing.T, address string) {
		l := newLabFor(t, 3, address)
		first, _ := l.waitHolder(l.all()...)
		l.stay(time.Second)
		a := l.download(first)
		l.procs[first].Signal(syscall.SIGUSR2) // it drains, and takes nothing any more
		second, _ := l.waitHolder(l.but(first)...)
		a.GoesOn(mega)
		l.hosts[second].Pull()
		l.procs[second].Kill()
		l.waitClean(second)
		third, _ := l.waitHolder(l.but(second)...)
		if third == first {
			t.Fatal("the draining node took the address")
		}
		l.finish(l.download(third))
		a.GoesOn(4 * mega)
		l.finish(a)
	})
}
