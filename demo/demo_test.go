package demo

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func addresses(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOptionsAreChecked(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	err := Options{Addresses: addresses("127.0.0.1", "127.0.0.1", "10.0.0.1", "::1"), VIP: addresses("10.0.0.1")[0], Shift: 60000}.Validate()
	for _, want := range []string{
		"127.0.0.1 is there twice", "--addresses: 10.0.0.1 is not in 127.0.0.0/8", "--addresses: ::1 is not in",
		"--vip: 10.0.0.1 is not in", "--vip: 10.0.0.1 is the address of a node too", "--port-shift: must be from -2104 to 57588",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := (Options{Addresses: addresses("127.0.0.1")}).Validate(); err == nil || !strings.Contains(err.Error(), "want 2 to 9") {
		t.Errorf("one address: %v", err)
	}
}

// An address that is taken is named, with flags that work instead; nothing is
// left behind.
func TestTakenAddressIsNamed(t *testing.T) {
	o := Options{Addresses: addresses("127.93.7.11", "127.93.7.12"), VIP: addresses("127.93.7.100")[0], Dir: t.TempDir()}
	udp, err := net.ListenPacket("udp", "127.93.7.12:3130")
	if err != nil {
		t.Skip(err) // somebody has the port on all addresses
	}
	defer udp.Close()
	_, err = New(o)
	e, ok := errors.AsType[*AddressError](err)
	if !ok || !errors.Is(err, syscall.EADDRINUSE) || e.At.String() != "127.93.7.12:3130" {
		t.Fatalf("with a taken port: %v", err)
	}
	if hint := e.Hint(); !regexp.MustCompile(`--addresses 127\.0\.\d\.11,127\.0\.\d\.12,127\.0\.\d\.13 --vip|--port-shift|other`).MatchString(hint) {
		t.Errorf("the hint is %q", hint)
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	far := &AddressError{At: e.At, Err: syscall.EADDRNOTAVAIL}
	if !strings.Contains(far.Hint(), "no such address") {
		t.Errorf("the hint is %q", far.Hint())
	}
}

func TestSourceOf(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   Source
	}{
		{nil, FromOrigin},
		{[]string{"n1; fwd=uri-miss; fwd-status=200; stored"}, FromOrigin},
		{[]string{"n1; hit; ttl=5"}, FromCache},
		{[]string{"n2; hit; ttl=3580, n3; fwd=uri-miss; fwd-status=200; detail=sibling-has-it"}, FromSibling},
		{[]string{"n2;hit", "n3; fwd=uri-miss"}, FromSibling},
		{[]string{"upstream; hit, n3; hit"}, FromCache},
	} {
		if got := sourceOf(c.fields); got != c.want {
			t.Errorf("%q is from %d, want %d", c.fields, got, c.want)
		}
	}
}

// A failure is told in few words.
func TestReason(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.100:3128")), Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for err, want := range map[error]string{
		&net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}: "dial 127.0.0.100:3128: connection refused",
		refused:                    "dial 127.0.0.100:3128: connection refused",
		errors.New("answered 503"): "answered 503",
	} {
		if got := reason(err); got != want {
			t.Errorf("%q is told as %q, want %q", err, got, want)
		}
	}
}

// A series of failures is told twice, at its beginning and at its end.
func TestFailuresAreToldOnce(t *testing.T) {
	good, bad, mixed := Tally{From: [sources]int64{1, 2, 3}}, Tally{Failed: 2}, Tally{From: [sources]int64{FromCache: 4}, Failed: 1}
	var l Load
	var news []string
	for _, s := range []Tally{good, bad, mixed, {}, good, good} {
		if text := l.second(s, "refused"); text != "" {
			news = append(news, text)
		}
	}
	want := "requests fail: refused | no request fails any more: 3 failed, 4 were answered meanwhile"
	if got := strings.Join(news, " | "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if l.Total.Failed != 3 || l.Total.good() != 22 || len(l.Seconds) != 6 {
		t.Errorf("counted %+v in %d seconds", l.Total, len(l.Seconds))
	}
	for range 2 * keptSeconds {
		l.second(good, "")
	}
	if len(l.Seconds) != keptSeconds {
		t.Errorf("%d seconds are kept", len(l.Seconds))
	}
}

func TestWhatIsNewIsTold(t *testing.T) {
	s := example()
	s.Events, s.Nodes = nil, []Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}
	at := time.Unix(0, 0)
	see := func(holder string, members ...string) {
		seen := &Seen{At: at, Holder: holder}
		for _, m := range members {
			seen.Nodes = append(seen.Nodes, Vitals{Answers: m == "alive", Member: m})
		}
		s.take(seen)
	}
	s.Holder = ""
	see("n1", "alive", "alive", "alive")
	see("n1", "alive", "draining", "alive")
	see("", "", "", "") // nobody answers: nothing is known
	see("n3", "failed", "alive", "alive")
	see("n3", "left", "alive", "alive")
	want := []string{
		"n1 is in the cluster", "n2 is in the cluster", "n3 is in the cluster",
		"n1 holds the virtual IP", "n2 drains: it takes no new connections, those it has may end",
		"n1 has failed, say the others", "n2 takes requests again", "the virtual IP went from n1 to n3", "n1 has left in good order",
	}
	var got []string
	for _, e := range s.Events {
		got = append(got, e.Text)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r := rate(100, 160, 2*time.Second); r != 30 {
		t.Errorf("rate %v", r)
	}
	if r := rate(100, 5, time.Second); r != 0 {
		t.Errorf("rate of a node that was restarted: %v", r)
	}
}

func example() *State {
	began := time.Date(2026, 1, 2, 15, 4, 0, 0, time.UTC)
	s := &State{
		Began: began, Now: began.Add(83 * time.Second), Front: "127.0.0.100:3128", Page: "http://127.0.0.1:40123/o/x?size=0&cc=max-age=60",
		Data: "/tmp/cachenode-demo-1234567890/n1", Dir: "/tmp/cachenode-demo-1234567890", Holder: "n2", Chosen: 1,
		Nodes: []Node{
			{Name: "n1", Address: "127.0.0.11:3128", PID: 4711, Vitals: Vitals{Answers: true, Member: "alive", Connections: 4, Rate: 30.4, HitRatio: 0.612, Objects: 815}},
			{Name: "n2", Address: "127.0.0.12:3128", PID: 4712, Vitals: Vitals{Answers: true, Member: "draining", Connections: 2, HitRatio: 1, Objects: 640}},
			{Name: "n3", Address: "127.0.0.13:3128", Ended: "killed", Vitals: Vitals{Member: "failed"}},
		},
	}
	s.Load.On = true
	for i := range 30 {
		t := Tally{From: [sources]int64{6, 12, int64(2 * i)}}
		if i == 25 {
			t.Failed = 3
		}
		s.Load.second(t, "connection reset")
	}
	for i := range 30 {
		s.tell(began.Add(time.Duration(i)*time.Second), "event number %d", i)
	}
	return s
}

func TestView(t *testing.T) {
	want := `
cachenode demo  3 nodes, one address for clients: 127.0.0.100:3128             1m23s

  NODE  ADDRESS           STATE     VIP  CONNS  REQ/S   HIT%  OBJECTS  PROCESS
  n1    127.0.0.11:3128   alive     -        4     30   61.2      815  4711
> n2    127.0.0.12:3128   draining  yes      2      0  100.0      640  4712
  n3    127.0.0.13:3128   failed    -        -      -      -        -  killed

traffic  67/s: 73% hits, 18% from siblings, 9% from origin; 3 failed of 1413
         ▃▃▃▄▄▄▄▅▅▅▅▆▆▆▇▇▇▇████████████

15:04:21  event number 21
15:04:22  event number 22
15:04:23  event number 23
15:04:24  event number 24
15:04:25  event number 25
15:04:26  event number 26
15:04:27  event number 27
15:04:28  event number 28
15:04:29  event number 29

try curl -x http://127.0.0.100:3128 http://example.com/
    curl -ix 127.0.0.100:3128 'http://127.0.0.1:40123/o/x?size=0&cc=max-age=60'
    kill -9 4712     cachenode members --data /tmp/cachenode-demo-1234567890/n1
1-3 choose  k kill  d undrain  r restart  l load  q quit`
	if got := "\n" + strings.Join(Render(example(), 84, 24, false), "\n"); got != want {
		t.Errorf("the view is%s\nwant%s", got, want)
	}
}

// Whatever the size, nothing is wider or longer; the nodes and the keys are there
// as soon as they fit.
func TestViewFitsEverySize(t *testing.T) {
	s := example()
	for width := range 130 {
		for height := range 45 {
			all := Render(s, width, height, false)
			if width > 0 && len(all) > height {
				t.Fatalf("%dx%d: %d lines", width, height, len(all))
			}
			for _, l := range all {
				if utf8.RuneCountInString(l) > width {
					t.Fatalf("%dx%d: %q is too long", width, height, l)
				}
			}
			text := strings.Join(all, "\n")
			if width >= 60 && height >= 5 && (!strings.Contains(text, "n3  ") || !strings.Contains(text, "q quit")) {
				t.Fatalf("%dx%d: no nodes or no keys:\n%s", width, height, text)
			}
		}
	}
}

// Color changes nothing of the text.
func TestColor(t *testing.T) {
	s := example()
	codes := regexp.MustCompile("\x1b\\[[0-9]*m")
	drawn := strings.Join(Render(s, 70, 20, true), "\n")
	trim := regexp.MustCompile(` +(\n|$)`)
	if got, want := trim.ReplaceAllString(codes.ReplaceAllString(drawn, ""), "$1"), strings.Join(Render(s, 70, 20, false), "\n"); got != want {
		t.Errorf("with color\n%s\nwithout\n%s", got, want)
	}
	if !strings.Contains(drawn, "\x1b[31m  n3") || !strings.Contains(drawn, "\x1b[33m> n2") || !strings.Contains(drawn, "\x1b[32m  n1") {
		t.Errorf("the nodes have no color:\n%q", drawn)
	}
}

// Into a file everything is printed once.
func TestLinesOfAFile(t *testing.T) {
	var b bytes.Buffer
	s := example()
	s.Events, s.Holder = nil, ""
	p := &lines{out: &b}
	p.show(s)
	if strings.Contains(b.String(), "try,") {
		t.Error("it says what to try before that works")
	}
	s.Holder = "n1"
	for i := range 3 {
		s.tell(s.Now, "event %d", i)
		p.show(s)
		p.show(s)
	}
	s.Now = s.Now.Add(trafficEvery)
	p.show(s)
	if err := p.close(s); err != nil {
		t.Error(err)
	}
	want := `cachenode demo: 3 nodes, one address for clients: 127.0.0.100:3128
  n1  127.0.0.11:3128  process 4711
  n2  127.0.0.12:3128  process 4712
  n3  127.0.0.13:3128  process 0
Ctrl-C ends all of it.
try, in another terminal:
  curl -x http://127.0.0.100:3128 http://example.com/
  curl -ix 127.0.0.100:3128 'http://127.0.0.1:40123/o/x?size=0&cc=max-age=60'
  kill -9 4711     cachenode members --data /tmp/cachenode-demo-1234567890/n1
15:05:23  event 0
15:05:23  event 1
15:05:23  event 2
15:05:33  traffic: 67/s: 73% hits, 18% from siblings, 9% from origin
the demo has ended; its nodes and /tmp/cachenode-demo-1234567890 are gone; 3 of 1413 requests failed
`
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}

// Nodes that cannot start are an error, not a view of nothing.
func TestHopelessDemo(t *testing.T) {
	o := Options{Addresses: addresses("127.93.8.11", "127.93.8.12"), VIP: addresses("127.93.8.100")[0], Dir: t.TempDir()}
	var err error
	if o.Program, err = exec.LookPath("false"); err != nil {
		t.Skip(err)
	}
	d, err := New(o)
	if err != nil {
		t.Skip(err) // somebody has the ports on all addresses
	}
	var out bytes.Buffer
	err = d.Run(t.Context(), &out, os.Stdin, nil)
	if err == nil || !strings.Contains(err.Error(), "no node starts: ") || !strings.Contains(out.String(), "exit 1") {
		t.Errorf("it ends with %v and says\n%s", err, &out)
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// What demos left that were killed goes when the next begins. What one has that
// runs, or whose nodes do, stays, and so does what is no demo's.
func TestWhatAKilledDemoLeft(t *testing.T) {
	parent := t.TempDir()
	begin := func() directory {
		d, err := newDirectory(parent)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	kill := func(d directory) {
		if err := d.lock.Close(); err != nil {
			t.Error(err)
		}
	}
	killed, running, withNode := begin(), begin(), begin()
	node := exec.Command("sleep", "60")
	node.ExtraFiles = []*os.File{withNode.lock}
	if err := node.Start(); err != nil {
		t.Skip(err)
	}
	defer node.Wait()         //nolint:errcheck // it is killed
	defer node.Process.Kill() //nolint:errcheck // it runs
	kill(killed)
	kill(withNode)
	unlocked, other := prefix+"begun", "cachenode-other"
	for _, name := range []string{unlocked, other} {
		if err := os.Mkdir(parent+"/"+name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(killed.path, parent+"/"+prefix+"link"); err != nil {
		t.Fatal(err)
	}
	removeLeft(parent)
	for path, stays := range map[string]bool{
		killed.path: false, running.path: true, withNode.path: true,
		parent + "/" + unlocked: true, parent + "/" + other: true, parent + "/" + prefix + "link": true,
	} {
		if _, err := os.Lstat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := running.remove(); err != nil {
		t.Error(err)
	}
}

func TestLastWords(t *testing.T) {
	file := t.TempDir() + "/log"
	for text, want := range map[string]string{
		"a\nerror: the port is in use\nhint: take another\n": "the port is in use",
		"a\nb\n": "b",
		"":       "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastWords(file); got != want {
			t.Errorf("of %q the last words are %q, want %q", text, got, want)
		}
	}
}
