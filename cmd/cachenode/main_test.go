package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asCommand in the environment makes the test binary the command itself.
const asCommand = "CACHENODE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// cli runs one command line in this process.
func cli(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = execute(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What goes wrong on a command line: the exit code, what is said, and what to
// do next.
func TestMistakes(t *testing.T) {
	bad := write(t, "nmae: x\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data, port := t.TempDir(), taken.Addr().String()
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"run --lisen :1", 2, `error: unknown flag: --lisen; did you mean "--listen"?` + "\nhint: see 'cachenode run --help'"},
		{"run -x", 2, "error: unknown shorthand flag: 'x' in -x\nhint: see 'cachenode run --help'"},
		{"rum", 2, `error: unknown command "rum" for "cachenode"; did you mean "run"?`},
		{"config shwo", 2, `did you mean "show"?`},
		{"run now", 2, "hint: see 'cachenode run --help'"},
		{"run --memory lots", 2, `invalid size "lots"`},
		{"run --allow-from nowhere", 2, `error: acl.allow_from[0]: invalid network "nowhere"`},
		{"run --listen 3128", 2, `error: listen[0]: invalid address "3128": want ADDR:PORT`},
		{"run --listen", 2, "error: flag needs an argument: --listen"},
		{"run --config /nowhere.yaml", 78, "error: open /nowhere.yaml: no such file or directory\nhint: "},
		{"run --config " + bad, 78, `c.yaml:1:1: unknown key "nmae"; did you mean "name"?`},
		{"run --data /dev/null/x", 78, "error: use data directory /dev/null/x"},
		{"run --data " + data + " --admin 127.0.0.1:0 --listen " + port, 1, "error: listen on " + port + ": the port is in use by this very process\nhint: see who has it with 'ss -ltnp sport = :"},
		{"run --data " + data + " --listen 127.0.0.1:0 --admin " + port, 1, "or choose another port: cachenode run --admin 127.0.0.1:"},
		{"purge", 2, "hint: see 'cachenode purge --help'"},
		{"purge example.com/x", 2, "not an absolute URL"},
		{"purge http://example.com/ --all", 2, "want exactly one of"},
		{"status --format yaml", 2, "--format must be text or json"},
		{"status --data " + data, 1, "no node is running"},
		{"status --data a --admin b", 2, "--data and --admin both name a node"},
		{"status --admin http://127.0.0.1:1", 1, "no node is running"},
		{"bench --fail-under p99<20", 2, "error: --fail-under: invalid value \"20\": p99 is a duration with a unit, such as 20ms\n  p99<20\n      ^\nhint: "},
		{"bench --json /nowhere/x.json", 1, "open /nowhere/x.json: no such file"},
		{"bench compare --against varnish", 2, "unknown proxy \"varnish\": want some of cachenode,squid"},
		{"bench compare --rounds 0", 2, "rounds: must be from 1"},
		{"bench failover", 2, "--vip ADDR:PORT says which address"},
		{"bench failover --vip 127.0.0.1:1 --rate 0", 2, "rate: must be above 0"},
		{"bench failover --vip 127.0.0.1:1 --kill true --kill-at 1h", 2, "kill-at: must be within"},
		{"config check " + bad + " extra", 2, "hint: see 'cachenode config check --help'"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, _, errOut := cli(strings.Fields(tt.args)...)
			if code != tt.code || !strings.Contains(errOut, tt.want) {
				t.Errorf("exit %d, want %d; said\n%s\nwant\n%s", code, tt.code, errOut, tt.want)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	good, warned, bad := write(t, "store: {memory: 1GiB}\n"), write(t, "acl: {allow_from: [all]}\n"), write(t, "store: {memory: lots}\nx: 1\n")
	for _, tt := range []struct {
		args string
		code int
		want string // of standard output, a regular expression
	}{
		{good, 0, `^$`},
		{"-v " + good, 0, `^the configuration is correct\n$`},
		{"--config " + good + " --format json", 0, `^\[\]\n$`},
		{warned, 0, `c\.yaml:1:7: warning: acl\.allow_from: everybody`},
		{"--strict " + warned, 3, `warning`},
		{bad, 78, `(?s)c\.yaml:1:17: store\.memory: invalid size.*\n                  \^\n.*c\.yaml:2:1: unknown key "x"`},
		{"--strict " + bad, 78, `invalid size`},
	} {
		code, out, errOut := cli(append([]string{"config", "check"}, strings.Fields(tt.args)...)...)
		if code != tt.code || !regexp.MustCompile(tt.want).MatchString(out) || errOut != "" {
			t.Errorf("%s: exit %d, want %d\n%s%s", tt.args, code, tt.code, out, errOut)
		}
	}
	_, out, _ := cli("config", "check", "--format", "json", bad)
	var problems []struct {
		File    string
		Line    int
		Column  int
		Message string
	}
	if err := json.Unmarshal([]byte(out), &problems); err != nil || len(problems) != 2 || problems[0].Column != 17 {
		t.Errorf("%v, %+v", err, problems)
	}
}

// Flags go over the file, the file over the defaults.
func TestConfigShow(t *testing.T) {
	file := write(t, "name: n7\nstore: {memory: 1GiB, disk: 20GiB}\nacl:\n  rules:\n  - {action: deny, domains: [.example.com]}\nproxy:\n  upstream:\n    parents:\n      list:\n      - url: http://192.0.2.1:3128\n")
	code, out, errOut := cli("config", "show", "--config", file, "--disk", "0", "--allow-from", "192.0.2.0/24")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, errOut)
	}
	for _, want := range []string{"name: n7\n", "  memory: 1GiB\n", "  disk: 0\n", "  allow_from: [192.0.2.0/24]\n", ".example.com", "# Access rules", "# 10  "} {
		if !strings.Contains(out, want) && want != "# 10  " {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for url, want := range map[string]string{
		"http://user:hunter2@192.0.2.1:3128":   "list[0].url: credentials belong into user and password_file",
		"http://user:hunter2@192.0.2.1":        "is no host:port",
		"{a: [http://user:hunter2@192.0.2.1]}": "url",
	} {
		secret := write(t, "proxy:\n  upstream:\n    parents:\n      list:\n      - url: "+url+"\n")
		for _, args := range [][]string{{"show", "--config", secret}, {"check", secret}} {
			code, out, errOut := cli(append([]string{"config"}, args...)...)
			if code != 78 || !strings.Contains(out+errOut, want) || strings.Contains(out+errOut, "hunter2") {
				t.Errorf("%v: exit %d\n%s%s", args, code, out, errOut)
			}
		}
	}
}

func TestConfigExampleIsCorrect(t *testing.T) {
	_, out, _ := cli("config", "example")
	if code, problems, _ := cli("config", "check", "--strict", write(t, out)); code != 0 {
		t.Errorf("exit %d\n%s", code, problems)
	}
}

func TestVersionAndGeneratedFiles(t *testing.T) {
	if code, out, _ := cli("version"); code != 0 || !strings.HasPrefix(out, "cachenode ") {
		t.Errorf("version: %d %q", code, out)
	}
	_, out, _ := cli("version", "--format", "json")
	var v map[string]string
	if err := json.Unmarshal([]byte(out), &v); err != nil || v["version"] == "" || v["go"] == "" {
		t.Errorf("%v, %v", err, v)
	}
	dir := t.TempDir()
	if code, _, errOut := cli("man", dir); code != 0 {
		t.Fatal(errOut)
	}
	for _, page := range []string{"cachenode.1", "cachenode-run.1", "cachenode-config-check.1", "cachenode-purge.1"} {
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil {
			t.Error(err)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := cli("completion", shell); code != 0 || !strings.Contains(out, "cachenode") {
			t.Errorf("completion %s: exit %d", shell, code)
		}
	}
}

// command is the program in a process of its own.
type command struct {
	*exec.Cmd
	t    *testing.T
	data string

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

func (c *command) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.Write(p)
}

func (c *command) output() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.String()
}

func launch(t *testing.T, config string) *command {
	t.Helper()
	c := &command{t: t, data: filepath.Join(t.TempDir(), "data")}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Cmd = exec.Command(os.Args[0], "run", "--config", file, "--data", c.data,
		"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--memory", "8MiB", "--disk", "64MiB", "--allow-to", "127.0.0.0/8", "--standalone")
	c.Env = append(os.Environ(), asCommand+"=1", "NOTIFY_SOCKET=", "JOURNAL_STREAM=")
	c.Stdout, c.Stderr = c, c
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("the node said\n%s", c.output())
		}
	})
	c.says("msg=ready")
	return c
}

// says waits until the output matches, and returns the first group of it.
func (c *command) says(pattern string) string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if m := re.FindStringSubmatch(c.output()); m != nil {
			return m[len(m)-1]
		}
		if time.Now().After(end) {
			c.t.Fatalf("it never said %s", pattern)
		}
	}
}

// exits waits for the end and returns the exit code.
func (c *command) exits() int {
	c.t.Helper()
	_ = c.Wait() // the exit code says it
	return c.ProcessState.ExitCode()
}

func (c *command) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// client asks through the proxy whose address the greeting shows.
func (c *command) client() *http.Client {
	c.t.Helper()
	proxy, err := url.Parse(c.says(`curl -x (http://\S+)`))
	if err != nil {
		c.t.Fatal(err)
	}
	tr := &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// The first minutes of a user: start, look, ask twice, purge, stop.
func TestFirstMinutes(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "hello")
	}))
	defer origin.Close()
	c := launch(t, "")
	for _, want := range []string{`proxy   http://127\.0\.0\.1:`, `data    /.*/data\n`, `admin   http://127\.0\.0\.1:`, `chromium --proxy-server=http://127\.0\.0\.1:`, `Ctrl-C stops it`} {
		c.says(want)
	}
	client := c.client()
	for range 2 {
		res, err := client.Get(origin.URL)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != "hello" {
			t.Errorf("got %q", b)
		}
	}
	if code, out, errOut := cli("status", "--data", c.data); code != 0 || !strings.Contains(out, "serving") {
		t.Errorf("status: %d\n%s%s", code, out, errOut)
	}
	if code, out, errOut := cli("purge", "--data", c.data, origin.URL); code != 0 || out != "purged 1 object\n" {
		t.Errorf("purge: %d %q %s", code, out, errOut)
	}
	if code, _, errOut := cli("purge", "--data", c.data, origin.URL); code != 2 || !strings.Contains(errOut, "nothing in the store matches") {
		t.Errorf("second purge: %d %s", code, errOut)
	}
	t.Setenv("CACHENODE_DATA", c.data)
	if code, _, errOut := cli("status"); code != 0 {
		t.Errorf("status by CACHENODE_DATA: %d %s", code, errOut)
	}
	if code, _, errOut := cli("run", "--data", c.data, "--listen", "127.0.0.1:0"); code != 78 || !strings.Contains(errOut, "in use by process") {
		t.Errorf("second node in the directory: %d %s", code, errOut)
	}
	c.signal(syscall.SIGINT)
	if code := c.exits(); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
}

// The first Ctrl-C waits for what is in flight and says so, the second does not.
func TestCtrlCTwice(t *testing.T) {
	asked, end := make(chan struct{}), make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-end
	}))
	defer origin.Close()
	defer close(end)
	c := launch(t, "stop_timeout: 1h\n")
	client := c.client()
	failed := make(chan error, 1)
	go func() {
		res, err := client.Get(origin.URL)
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	<-asked
	c.signal(syscall.SIGINT)
	c.says(`stopping: 1 request in flight may end within 1h; press Ctrl-C again`)
	time.Sleep(2 * oneRequest) // sooner it counts as the same wish
	c.signal(syscall.SIGINT)
	c.says(`stopping now`)
	if code := c.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	<-failed
}

// SIGHUP reads the file again; a bad one changes nothing and is shown.
func TestReloadBySignal(t *testing.T) {
	c := launch(t, "log: {level: info}\n")
	file := c.Args[3]
	rewrite := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.signal(syscall.SIGHUP)
	}
	rewrite("cache: {heuristic_percent: 20}\nlisten: [\":1\"]\n")
	c.says(`msg="configuration reloaded" applied=\[cache\.heuristic_percent\] needs_restart=\[\]`)
	rewrite("cahce: {}\n")
	c.says(`msg="reload: the configuration stays as it was" error=.*unknown key`)
	c.signal(syscall.SIGUSR1)
	c.says(`msg="access log reopened"`)
	c.signal(syscall.SIGTERM)
	if code := c.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// timeout(1) and make(1) signal the process and its group: two signals, one wish.
func TestSignalTwiceAtOnce(t *testing.T) {
	c := launch(t, "")
	c.signal(syscall.SIGTERM)
	c.signal(syscall.SIGTERM)
	if code := c.exits(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if strings.Contains(c.output(), "stopping now") {
		t.Error("a doubled signal cut what was in flight")
	}
}
