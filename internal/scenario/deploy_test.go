package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cachenode/cachenode/internal/transcript"
)

const deployed = "../../deploy/"

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

// script writes a program of its own.
func script(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700))
}

// What a shell reads is right, as far as that can be told without running it.
func TestShellFiles(t *testing.T) {
	t.Parallel()
	sh := wants(t, "sh")
	for _, name := range []string{"rolling-upgrade", "cachenode.openrc", "cachenode.confd"} {
		if out, err := exec.Command(sh, "-n", deployed+name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if check, err := exec.LookPath("shellcheck"); err == nil {
			if out, err := exec.Command(check, "--shell=sh", "--exclude=SC2034", deployed+name).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// systemd has nothing to say against the unit.
func TestServiceUnit(t *testing.T) {
	t.Parallel()
	analyze := wants(t, "systemd-analyze")
	version, err := exec.Command(analyze, "--version").Output()
	must(t, err)
	unit := strings.ReplaceAll(read(t, deployed+"cachenode.service"), "/usr/bin/cachenode", filepath.Join(bin, "cachenode"))
	if n, err := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(string(version))); err == nil && n < 253 {
		unit = strings.Replace(unit, "Type=notify-reload", "Type=notify", 1) // as the file says
	}
	out, err := exec.Command(analyze, "verify", "--man=no", file(t, "cachenode.service", unit)).CombinedOutput()
	text := string(out)
	if strings.Contains(text, "Failed to setup working directory") || strings.Contains(text, "Failed to initialize manager") {
		t.Skipf("systemd-analyze does not work here: %s", text)
	}
	if err != nil || text != "" {
		t.Errorf("%v\n%s", err, text)
	}
}

var (
	commandLine = regexp.MustCompile(`(?:cachenode|\$program|\$command"?)((?: [a-z]+)+)((?: --?[a-z-]+(?:[= ][^ \n]+)?| [^ \n]+)*)`)
	longFlag    = regexp.MustCompile(`--([a-z][a-z-]*)`)
)

// Every command that the files call exists, with every flag.
func TestCommandsOfDeployExist(t *testing.T) {
	t.Parallel()
	n := &node{t: t}
	helps := map[string]string{} // by command; empty: there is no such
	help := func(command []string) string {
		words := known(command)
		text, ok := helps[strings.Join(words, " ")]
		if !ok {
			code, out := n.command(append(words, "--help")...)
			if code == 0 && strings.Contains(out, "cachenode "+strings.Join(words, " ")) {
				text = out
			}
			helps[strings.Join(words, " ")] = text
		}
		return text
	}
	checked := 0
	for _, name := range []string{"cachenode.service", "cachenode.openrc", "cachenode.confd", "Dockerfile", "compose.yaml", "rolling-upgrade", "README.md"} {
		text := read(t, deployed+name)
		if name == "Dockerfile" || name == "compose.yaml" { // lists of words
			text = regexp.MustCompile(`(?m)^(?:CMD|  command:) \[`).ReplaceAllString(text, "cachenode ")
			text = regexp.MustCompile(`CMD \["/usr/bin/cachenode", `).ReplaceAllString(text, "cachenode ")
			text = regexp.MustCompile(`[",\]]`).ReplaceAllString(text, "")
		}
		for line := range strings.Lines(text) {
			for _, m := range commandLine.FindAllStringSubmatch(line, -1) {
				command, flags := strings.Fields(m[1]), longFlag.FindAllStringSubmatch(m[2], -1)
				if !called(command[0]) {
					continue
				}
				checked++
				text := help(command)
				if text == "" {
					t.Errorf("%s: there is no command %q", name, command)
					continue
				}
				for _, f := range flags {
					if !strings.Contains(text, "--"+f[1]+" ") && !strings.Contains(text, "--"+f[1]+"\n") {
						t.Errorf("%s: %q has no flag --%s: %s", name, command, f[1], strings.TrimSpace(line))
					}
				}
			}
		}
	}
	if checked < 12 {
		t.Errorf("only %d commands were found", checked)
	}
}

// called reports that a word behind cachenode is meant as its command, and is
// not the next word of a sentence.
func called(word string) bool {
	switch word {
	case "run", "join", "status", "members", "token", "config", "drain", "undrain", "leave", "vip", "demo", "version", "forget":
		return true
	}
	return false
}

// known is the command without its arguments.
func known(words []string) []string {
	if len(words) > 1 && (words[0] == "config" || words[0] == "vip") {
		return words[:2]
	}
	return words[:1]
}

// alike are three nodes, n1 to n3, of one configuration, that are a cluster.
func alike(t *testing.T) []*node {
	t.Helper()
	_, token := (&node{t: t}).command("token", "--new")
	addrs := []string{loopback(), loopback(), loopback()}
	shared := config(t, "cluster: {token_file: %q, join: [%s]}", file(t, "token", token), strings.Join(addrs, ", "))
	var nodes []*node
	for i, addr := range addrs {
		nodes = append(nodes, startWith(t, setup{
			cluster: []string{"run", "--config", shared, "--name", fmt.Sprintf("n%d", i+1), "--bind", addr},
			args:    []string{"--listen", addr + ":0"},
		}))
	}
	see(t, "n1 alive, n2 alive, n3 alive", nodes...)
	return nodes
}

// The configuration of the containers is one, and their cluster needs no order.
func TestNodesThatAreAlike(t *testing.T) {
	t.Parallel()
	n := &node{t: t}
	if code, out := n.command("config", "check", "--config", deployed+"compose.cachenode.yaml"); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	alike(t)
	if code, out := n.command("token", "--new", "--line"); code != 2 {
		t.Errorf("token --new --line: exit %d: %s", code, out)
	}
}

// The kernel knows every setting.
func TestSysctls(t *testing.T) {
	t.Parallel()
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9_.]+) = `).FindAllStringSubmatch(read(t, deployed+"cachenode.sysctl"), -1) {
		path := "/proc/sys/" + strings.ReplaceAll(m[1], ".", "/")
		if strings.HasPrefix(m[1], "net.ipv6.") {
			if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
				continue // this machine has no IPv6
			}
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// logrotate renames the log, and the node goes on with a new one.
func TestLogrotate(t *testing.T) {
	t.Parallel()
	rotate := wants(t, "logrotate")
	wantsRoot(t) // it looks at owners
	o := newOrigin(t)
	library(o)
	n := startWith(t, setup{args: []string{"--config", config(t, "access_log: {rotate_size: 0}")}})
	n.get(o.url("/1")).want(t, 200, "", volume("/1"))
	eventually(t, "line in the log", func() bool { return strings.Contains(read(t, n.logs), "/1") })
	tools := t.TempDir()
	for _, name := range []string{"systemctl", "rc-service"} {
		script(t, filepath.Join(tools, name), fmt.Sprintf("echo $0 $* >%s/called; kill -USR1 %d\n", tools, n.pid()))
	}
	conf := file(t, "conf", strings.ReplaceAll(read(t, deployed+"cachenode.logrotate"), "/var/log/cachenode/access.log", n.logs))
	c := exec.Command(rotate, "--force", "--state", filepath.Join(tools, "state"), conf)
	c.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if said := read(t, tools+"/called"); !strings.Contains(said, "cachenode.service") && !strings.Contains(said, "cachenode reopen") {
		t.Errorf("it called %s", said)
	}
	eventually(t, "new log", func() bool { _, err := os.Stat(n.logs); return err == nil })
	n.get(o.url("/2")).want(t, 200, "", volume("/2"))
	eventually(t, "line in the new log", func() bool { return strings.Contains(read(t, n.logs), "/2 -") })
	if old := read(t, n.logs+".1"); !strings.Contains(old, "/1 -") || strings.Contains(old, "/2 -") {
		t.Errorf("the old log is %s", old)
	}
}

// fleet are hosts on which rolling-upgrade is tried: stubs that keep the state of
// each node in a file, and write down what they are asked.
type fleet struct {
	t   *testing.T
	dir string
}

const fakeNode = `case $1 in
members)
	echo '{'
	for n in n1 n2 n3; do
		read -r state <"$FLEET/$n"
		[ "$state" != dead ] || state=failed
		read -r holder <"$FLEET/holder"
		echo "\"name\": \"$n\","
		if [ "$n" = "$HOST" ]; then echo '"self": true,'; else echo '"self": false,'; fi
		echo "\"state\": \"$state\","
		if [ "$n" = "$holder" ]; then echo '"vip": true,'; else echo '"vip": false,'; fi
	done
	echo '}' ;;
drain)
	[ ! -e "$FLEET/$HOST.refuses" ] || exit 4
	echo draining >"$FLEET/$HOST" ;;
undrain) echo alive >"$FLEET/$HOST" ;;
restart)
	[ ! -e "$FLEET/$HOST.stays-away" ] || { echo failed >"$FLEET/$HOST"; exit 0; }
	echo alive >"$FLEET/$HOST" ;;
version) ;;
*) echo "no $1"; exit 2 ;;
esac
`

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, dir: t.TempDir()}
	for _, n := range []string{"n1", "n2", "n3"} {
		must(t, os.WriteFile(filepath.Join(f.dir, n), []byte("alive\n"), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(f.dir, "holder"), []byte("n1\n"), 0o600))
	script(t, filepath.Join(f.dir, "cachenode"), fakeNode)
	script(t, filepath.Join(f.dir, "ssh"), `[ "$1" != n9 ] || exit 255
echo "$1: $2" >>"$FLEET/log"
HOST=$1 exec sh -c "$2"
`)
	return f
}

func (f *fleet) set(name string) {
	must(f.t, os.WriteFile(filepath.Join(f.dir, name), nil, 0o600))
}

// upgrade runs the script, and returns what was done on which host, questions
// left out.
func (f *fleet) upgrade(args ...string) (code int, out, done string) {
	f.t.Helper()
	program := filepath.Join(f.dir, "cachenode")
	c := exec.Command(deployed+"rolling-upgrade", append([]string{
		"--ssh", filepath.Join(f.dir, "ssh"), "--program", program, "--restart", program + " restart", "--wait", "1",
	}, args...)...)
	c.Env = append(os.Environ(), "FLEET="+f.dir)
	b, err := c.CombinedOutput()
	if c.ProcessState == nil {
		f.t.Fatal(err)
	}
	log, _ := os.ReadFile(filepath.Join(f.dir, "log")) // missing when nothing was asked
	var did []string
	for line := range strings.Lines(string(log)) {
		host, command, _ := strings.Cut(strings.TrimSpace(line), ": ")
		command = strings.ReplaceAll(command, program, "cachenode")
		if word, _, _ := strings.Cut(strings.TrimPrefix(command, "cachenode "), " "); word != "members" {
			did = append(did, host+" "+word)
		}
	}
	return c.ProcessState.ExitCode(), string(b), strings.Join(did, ", ")
}

func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	wants(t, "awk")
	all := []string{"--replace", "true new", "n1", "n2", "n3"}
	for _, c := range []struct {
		name string
		set  string // a file that makes a stub misbehave
		args []string
		code int
		done string
		say  string
	}{
		{
			"all, the holder last", "", all, 0,
			"n2 drain, n2 true, n2 restart, n3 drain, n3 true, n3 restart, n1 drain, n1 true, n1 restart",
			"n1: upgrade 3 of 3\nall 3 are upgraded\n",
		},
		{"one that does not drain", "n3.refuses", all, 1, "n2 drain, n2 true, n2 restart, n3 drain, n3 undrain", "error: n3 did not drain: nothing was replaced there"},
		{"one that cannot be replaced", "", []string{"--replace", "false", "n1", "n2"}, 1, "n2 drain, n2 false, n2 undrain", "error: the program on n2 could not be replaced"},
		{"one that does not return", "n2.stays-away", all, 1, "n2 drain, n2 true, n2 restart", "error: n2 is not back after 1s"},
		{"dry run", "", append([]string{"--dry-run"}, all...), 0, "", "nothing was changed"},
		{"a host that is not there", "", []string{"--replace", "true", "n1", "n9"}, 1, "", "error: n9 does not answer"},
		{"help", "", []string{"--help"}, 0, "", "Usage: rolling-upgrade"},
		{"no hosts", "", []string{"--replace", "true"}, 2, "", "error: name the hosts\nhint:"},
		{"nothing new", "", []string{"n1"}, 2, "", "error: say what is new"},
		{"both are new", "", []string{"--replace", "true", "--binary", "/bin/true", "n1"}, 2, "", "give one of them"},
		{"unknown flag", "", []string{"--nonsense"}, 2, "", "error: unknown flag --nonsense"},
		{"flag behind hosts", "", []string{"--replace", "true", "n1", "--dry-run"}, 2, "", "flags come before the hosts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			if c.set != "" {
				f.set(c.set)
			}
			code, out, done := f.upgrade(c.args...)
			if code != c.code || done != c.done || !strings.Contains(out, c.say) {
				t.Errorf("exit %d, did %q and said\n%s\nwant exit %d, %q and %q", code, done, out, c.code, c.done, c.say)
			}
		})
	}
}

// With a member away the upgrade does not begin, unless told to.
func TestRollingUpgradeOfALameCluster(t *testing.T) {
	t.Parallel()
	wants(t, "awk")
	f := newFleet(t)
	f.set("n1.refuses") // its drain passes the deadline
	must(t, os.WriteFile(filepath.Join(f.dir, "n3"), []byte("dead\n"), 0o600))
	code, out, done := f.upgrade("--replace", "true", "n1", "n2")
	if code != 1 || done != "" || !strings.Contains(out, "members that have failed or drain") {
		t.Errorf("exit %d, did %q and said %s", code, done, out)
	}
	if code, out, _ := f.upgrade("--force", "--replace", "true", "n1", "n2"); code != 0 {
		t.Errorf("with --force: exit %d and said %s", code, out)
	}
}

// A new program takes the place of the old one, if it runs.
func TestRollingUpgradeOfTheProgram(t *testing.T) {
	t.Parallel()
	wants(t, "awk")
	f := newFleet(t)
	good, bad := filepath.Join(t.TempDir(), "good"), filepath.Join(t.TempDir(), "bad")
	script(t, good, "# new\n"+fakeNode)
	script(t, bad, "exit 1\n")
	code, out, _ := f.upgrade("--binary", bad, "n2")
	if code != 1 || read(t, filepath.Join(f.dir, "cachenode")) != "#!/bin/sh\n"+fakeNode {
		t.Errorf("one that does not run: exit %d and said %s", code, out)
	}
	if code, out, _ = f.upgrade("--binary", good, "n2"); code != 0 || read(t, filepath.Join(f.dir, "cachenode")) != read(t, good) {
		t.Errorf("exit %d and said %s", code, out)
	}
	info, err := os.Stat(filepath.Join(f.dir, "cachenode"))
	must(t, err)
	if info.Mode().Perm() != 0o755 || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("it has mode %v", info.Mode())
	}
}

// The real thing: three nodes are upgraded in turn, and are alive again when the
// script has ended. ssh and the service manager are played by the test.
func TestRollingUpgradeOfNodes(t *testing.T) {
	t.Parallel()
	wants(t, "awk")
	nodes := alike(t)
	started := map[*node]int{}
	dir := t.TempDir()
	hosts := ""
	for i, n := range nodes {
		started[n] = n.pid()
		hosts += fmt.Sprintf("n%d) CACHENODE_DATA=%s ;;\n", i+1, n.data)
	}
	script(t, filepath.Join(dir, "ssh"), "case $1 in\n"+hosts+"esac\nexport CACHENODE_DATA\nHOST=$1 exec sh -c \"$2\"\n")
	restart := fmt.Sprintf(`touch %[1]s/restart.$HOST; until [ -e %[1]s/restarted.$HOST ]; do sleep 0.1; done`, dir)
	c := exec.Command(deployed+"rolling-upgrade", "--ssh", filepath.Join(dir, "ssh"), "--program", filepath.Join(bin, "cachenode"),
		"--replace", "true", "--restart", restart, "--deadline", "30s", "n1", "n2", "n3")
	said := &transcript.Transcript{}
	c.Stdout, c.Stderr = said, said
	must(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	done := 0
	eventually(t, "all are restarted", func() bool {
		for i, n := range nodes {
			name := fmt.Sprintf(".n%d", i+1)
			if _, err := os.Stat(filepath.Join(dir, "restart"+name)); err == nil && n.pid() == started[n] {
				n.restart()
				done++
				must(t, os.WriteFile(filepath.Join(dir, "restarted"+name), nil, 0o600))
			}
		}
		return done == len(nodes)
	})
	if err := <-ended; err != nil || !strings.Contains(said.String(), "all 3 are upgraded") {
		t.Errorf("%v\n%s", err, said)
	}
	see(t, "n1 alive, n2 alive, n3 alive", nodes...)
}
