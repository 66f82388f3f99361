package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/node"
	"github.com/cachenode/cachenode/peer"
)

// joinTokenVariable holds the join token of a command line, which everybody on
// the machine can read, from the moment the program starts.
const joinTokenVariable = "CACHENODE_JOIN_TOKEN"

func newJoin() *cobra.Command {
	var (
		s settings
		j joinFlags
	)
	cmd := &cobra.Command{
		Use:   "join HOST[:PORT]",
		Short: "Join the cluster that a node is in",
		Long: `join takes this machine into the cluster that the node at HOST is in. When a
node runs here, it is told to join and keeps its cache; when none does, one is
started that is joined, with the flags of run, and stays in the foreground. From
then on it rejoins by itself at every start.

HOST:PORT is the address of gossip of any member, port 7946 if not given; the
token is what 'cachenode token' prints there. It is a secret: give it in a file
with --token-file (- is standard input), in the environment as
CACHENODE_JOIN_TOKEN, or type it when asked. After --token it is taken off the
process list at once, but your shell may remember it.`,
		Example: `  cachenode join 10.0.0.11 --token-file token
  cachenode join 10.0.0.11:7946 --token cn1-…
  cachenode join 127.0.0.11 --bind 127.0.0.12 --name n2 --data ./n2`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tok, err := j.token(cmd)
			if err != nil {
				return err
			}
			return join(cmd, &s, args[0], tok)
		},
	}
	s.register(cmd)
	cmd.Flags().StringVar(&j.text, "token", "", "join `TOKEN` that 'cachenode token' prints on a member")
	cmd.Flags().StringVar(&j.file, "token-file", "", "`FILE` with the join token; - is standard input")
	_ = cmd.MarkFlagFilename("token-file") // completion only
	return cmd
}

// joinFlags say where the token is.
type joinFlags struct{ text, file string }

// token finds the token; the command line goes before the environment.
func (j *joinFlags) token(cmd *cobra.Command) (peer.Token, error) {
	text, err := j.read(cmd)
	if err != nil {
		return peer.Token{}, err
	}
	tok, err := peer.ParseToken(text)
	if err != nil {
		return tok, &coded{err: err, code: exitFailure, hint: "print it anew with 'cachenode token' on a member"}
	}
	return tok, nil
}

func (j *joinFlags) read(cmd *cobra.Command) (string, error) {
	if j.text != "" && j.file != "" {
		return "", usage(cmd, errors.New("--token and --token-file both give the token: use one of them"))
	}
	switch {
	case j.text != "":
		return j.text, nil
	case j.file == "-":
		b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 4096))
		return string(b), err
	case j.file != "":
		b, err := os.ReadFile(j.file)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		return string(b), nil
	}
	if text := os.Getenv(joinTokenVariable); text != "" {
		return text, nil
	}
	// CACHENODE_TOKEN is that of an admin interface, but is easily meant.
	if text := os.Getenv("CACHENODE_TOKEN"); strings.HasPrefix(text, peer.TokenPrefix) {
		return text, nil
	}
	if cmd.InOrStdin() == os.Stdin && isTerminal(os.Stdin) {
		fmt.Fprint(cmd.ErrOrStderr(), "join token (it is not shown): ")
		text, err := readSecret(os.Stdin)
		fmt.Fprintln(cmd.ErrOrStderr())
		return text, err
	}
	return "", usage(cmd, errors.New("no join token: give it with --token-file FILE, in "+joinTokenVariable+", or with --token TOKEN"))
}

// join has the node on this machine join, or starts one.
func join(cmd *cobra.Command, s *settings, addr string, tok peer.Token) error {
	o, err := s.mustLoad(cmd)
	if err != nil {
		return err
	}
	o.Resolve()
	c, err := admin.DialDir(cmd.Context(), o.Data)
	switch {
	case err == nil:
		defer c.Close()
		return tellToJoin(cmd, c, addr, tok)
	case !errors.Is(err, admin.ErrNotRunning):
		return err
	}
	if err := prepareToJoin(cmd.Context(), &o, addr, tok); err != nil {
		return err
	}
	s.alsoJoin = addr
	return run(cmd, s)
}

func tellToJoin(cmd *cobra.Command, c *admin.Client, addr string, tok peer.Token) error {
	ctx, cancel := within(cmd.Context())
	defer cancel()
	if name, _ := cmd.Flags().GetString("name"); name != "" {
		if st, err := c.Status(ctx); err == nil && st.Name != name {
			return &coded{
				err:  fmt.Errorf("a node called %q runs here already, and cannot be renamed to %q while it runs", st.Name, name),
				code: exitFailure, hint: "join without --name, or give the new node a directory of its own with --data DIR",
			}
		}
	}
	m, err := c.Join(ctx, admin.Join{Address: addr, Token: tok.Encode()})
	if err != nil {
		return answered(err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "joined cluster %s\n", m.Cluster)
	return tableOfMembers(cmd.OutOrStdout(), &m, false)
}

// prepareToJoin asks the member whether this node may join, and makes the node
// that is about to start one of its cluster.
func prepareToJoin(ctx context.Context, o *node.Options, addr string, tok peer.Token) error {
	if o.Standalone {
		return &coded{err: errors.New("a node that runs standalone joins no cluster"), code: exitConfig, hint: "leave out --standalone, and standalone in the configuration"}
	}
	was, ok, err := peer.LoadIdentity(o.Data)
	if err != nil {
		return err
	}
	if ok && was.ID != tok.ID && peer.HasMet(o.Data, was) {
		return &coded{
			err: fmt.Errorf("the data directory %s belongs to a member of cluster %q", o.Data, was.Name), code: exitFailure,
			hint: fmt.Sprintf("start it with 'cachenode run' and take it out with 'cachenode leave', or use another directory with --data DIR; deleting %s makes it forget", filepath.Join(o.Data, peer.IdentityName)),
		}
	}
	if err := os.MkdirAll(o.Data, 0o750); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	err = peer.Check(ctx, addr, tok, o.Cluster, peer.Deps{Dir: o.Data, Log: slog.New(slog.DiscardHandler), Name: o.Name, Version: version()})
	if e, ok := errors.AsType[*peer.JoinError](err); ok {
		return &coded{err: e, code: exitFailure, hint: e.Hint()}
	}
	if err != nil {
		return err
	}
	return tok.Identity().Save(o.Data)
}

// scrub takes a join token off a command line. It returns the arguments without
// it, and the token; ok is false when there is none.
func scrub(args []string) (clean []string, token string, ok bool) {
	if len(args) < 2 || args[1] != "join" {
		return args, "", false
	}
	clean = append(clean, args[:2]...)
	for i := 2; i < len(args); i++ {
		text, joined := strings.CutPrefix(args[i], "--token=")
		switch {
		case args[i] == "--":
			return append(clean, args[i:]...), token, ok
		case joined:
			token, ok = text, true
		case args[i] == "--token" && i+1 < len(args):
			i++
			token, ok = args[i], true
		default:
			clean = append(clean, args[i])
		}
	}
	return clean, token, ok
}

// hideToken starts this program anew without the token in its arguments, if one
// is there. It returns only if that is not needed or not possible.
func hideToken() {
	args, token, ok := scrub(os.Args)
	if !ok || token == "" {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return // the token is read from the command line then
	}
	env := append(os.Environ(), joinTokenVariable+"="+token)
	_ = syscall.Exec(self, args, env) // idem
}

// interruptible ends with the first signal that asks for an end.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
}
