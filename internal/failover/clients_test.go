package failover

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cachenode/cachenode/bench/body"
	prober "github.com/cachenode/cachenode/bench/failover"
	"github.com/cachenode/cachenode/internal/netlab"
)

// clients are what uses the virtual IP while something happens: the prober, curl
// that asks for page after page on kept connections, straight and through
// tunnels, and downloads.
type clients struct {
	c         *cluster
	number    int
	probes    *netlab.Process
	result    string // file of the prober
	pages     []*netlab.Process
	downloads []*download
}

// limit is how long clients wait for one answer.
func limit() time.Duration {
	if measuring() > 0 {
		return time.Second
	}
	return 20 * time.Second
}

// rate is that of probes, on new connections and on as many kept ones: each of
// those is used once a second.
func rate() int {
	if measuring() > 0 {
		return 50
	}
	return 15
}

// visit starts the clients and waits until they are served.
func (c *cluster) visit() *clients {
	c.t.Helper()
	c.serial++
	v := &clients{c: c, number: c.serial, result: filepath.Join(c.t.TempDir(), "failover.json")}
	v.probes = c.client.Start(nil, program, "bench", "failover", "--vip", frontDoor, "--duration", "0", "--quiet", "--json", v.result,
		"--rate", fmt.Sprint(rate()), "--kept", fmt.Sprint(rate()), "--timeout", limit().String())
	for _, tunnel := range []bool{false, false, true} {
		v.browse(tunnel)
	}
	return v
}

// served waits until every client has had answers.
func (v *clients) served() {
	v.c.t.Helper()
	for i := range v.pages {
		class := v.class(i)
		eventually(v.c.t, "clients are served", func() bool { return v.c.origin.Counts(class).Requests >= 3 })
	}
	time.Sleep(time.Second) // of steady work, for the prober's kept connections
}

// class is what the pages of one curl are counted under at the origin.
func (v *clients) class(i int) string { return fmt.Sprintf("pages-%d-%d", v.number, i) }

// browse starts a curl that asks for pages, which nobody has yet, on one
// connection as long as that lives; or one curl after the other, each with a
// tunnel, since a tunnel that never ends would hold up every drain. They speak of
// failures only.
func (v *clients) browse(tunnel bool) {
	args := []string{
		"--proxy", "http://" + frontDoor, "--silent", "--fail", "--output", os.DevNull, "--rate", "10/s", "--max-time", fmt.Sprint(limit().Seconds()),
		"--write-out", "%{onerror}failed: %{exitcode} %{http_code} %{errormsg}, %{num_connects} connections made, at %{url}\n",
	}
	url := fmt.Sprintf("http://%s/o/%s/[1-%%d]?size=2k&cc=max-age%%%%3D60", v.c.origin.Addr(), v.class(len(v.pages)))
	curl := append([]string{"-c", `exec curl "$@"`, "sh"}, append(args, fmt.Sprintf(url, 100_000))...)
	if tunnel {
		curl = append([]string{"-c", `while :; do curl "$@"; done`, "sh", "--proxytunnel"}, append(args, fmt.Sprintf(url, 20))...)
	}
	v.pages = append(v.pages, v.c.client.Start(nil, "sh", curl...))
}

// A download takes four seconds, as fast as the origin sends.
const (
	downloadSize = 2 << 20
	downloadRate = 512 << 10
)

type download struct {
	proc *netlab.Process
	file string
	id   string
}

// download starts some, a part of them through tunnels, and waits until bytes of
// each have come.
func (v *clients) download(n int) {
	v.c.t.Helper()
	for i := range n {
		v.c.serial++
		d := &download{file: filepath.Join(v.c.t.TempDir(), "body"), id: fmt.Sprintf("download/%d", v.c.serial)}
		args := []string{"--proxy", "http://" + frontDoor, "--silent", "--show-error", "--fail", "--limit-rate", "600k", "--output", d.file}
		if i%4 == 3 {
			args = append(args, "--proxytunnel")
		}
		d.proc = v.c.client.Start(nil, "curl", append(args,
			fmt.Sprintf("http://%s/o/%s?size=%d&bw=%d&cc=max-age%%3D60", v.c.origin.Addr(), d.id, downloadSize, downloadRate))...)
		v.downloads = append(v.downloads, d)
	}
	for _, d := range v.downloads {
		eventually(v.c.t, "a download begins", func() bool {
			select {
			case <-d.proc.Done(): // its end is judged later
				return true
			default:
			}
			is, err := os.Stat(d.file)
			return err == nil && is.Size() > 0
		})
	}
}

// whole waits for the downloads and counts those that are complete. One that
// curl takes for complete and is not ends the test.
func (v *clients) whole() (n int) {
	v.c.t.Helper()
	for _, d := range v.downloads {
		select {
		case <-d.proc.Done():
		case <-time.After(patience):
			v.c.t.Errorf("a download hangs: %s", d.id)
			d.proc.Kill()
		}
		if d.proc.Err() != nil {
			v.c.t.Logf("%s: %v %s", d.id, d.proc.Err(), strings.TrimSpace(d.proc.Output()))
			continue
		}
		got, err := os.ReadFile(d.file)
		must(v.c.t, err)
		var want body.Content
		want.Reset(body.Object{ID: d.id, Length: downloadSize})
		if len(got) != downloadSize || want.Check(0, got) != len(got) {
			v.c.t.Fatalf("%s is complete for curl with %d bytes, %d of them right", d.id, len(got), want.Check(0, got))
		}
		n++
	}
	return n
}

// leave ends the clients; it returns what the prober saw, and what each curl said
// of its pages that failed.
func (v *clients) leave() (r *prober.Result, failures [][]string) {
	v.c.t.Helper()
	for _, p := range v.pages {
		p.Kill()
		failures = append(failures, lines(p.Output()))
	}
	v.probes.Signal(syscall.SIGINT)
	select {
	case <-v.probes.Done():
	case <-time.After(patience):
		v.c.t.Fatal("the prober does not end")
	}
	text, err := os.ReadFile(v.result)
	must(v.c.t, err)
	r = &prober.Result{}
	if err := json.Unmarshal(text, r); err != nil {
		v.c.t.Fatalf("the prober: %v %s", err, v.probes.Output())
	}
	return r, failures
}

func lines(text string) (list []string) {
	for line := range strings.Lines(text) {
		list = append(list, strings.TrimSpace(line))
	}
	return list
}

// answers looks whether new clients are served, each one.
func (c *cluster) answers() {
	c.t.Helper()
	c.serial++
	p := c.client.Start(nil, "curl", "--proxy", "http://"+frontDoor, "--silent", "--show-error", "--fail", "--output", os.DevNull,
		"--header", "Connection: close", "--max-time", fmt.Sprint(patience.Seconds()),
		fmt.Sprintf("http://%s/o/after/%d-[1-12]?size=2k", c.origin.Addr(), c.serial))
	<-p.Done()
	if p.Err() != nil {
		c.t.Errorf("after it was over requests fail: %v %s", p.Err(), strings.TrimSpace(p.Output()))
	}
}
