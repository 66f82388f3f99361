package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"golang.org/x/sys/unix"
)

// JoinKind says why a node cannot join.
type JoinKind uint8

// The reasons.
const (
	JoinUnreachable JoinKind = iota + 1 // nobody answers
	JoinNoMember                        // somebody answers who is no member
	JoinKey                             // the key is not that of the cluster
	JoinCluster                         // it is another cluster
	JoinNameTaken                       // a member has the name
	JoinIDTaken                         // a member has the id: a copied data directory
	JoinSelf                            // it is this very node
	JoinClock                           // the clocks differ too much
	JoinVersion                         // the versions do not understand each other
	JoinMember                          // this node is in a cluster with others already
)

// JoinError says why a node cannot join.
type JoinError struct {
	Kind   JoinKind
	Addr   string // of the member that was asked, or of the one in conflict
	Member string // its name
	Detail string
	Behind bool // our clock is behind its
	Err    error
}

func (e *JoinError) Unwrap() error { return e.Err }

func (e *JoinError) Error() string {
	switch e.Kind {
	case JoinUnreachable:
		return fmt.Sprintf("cannot reach %s: %v", e.Addr, plain(e.Err))
	case JoinNoMember:
		return fmt.Sprintf("what answers at %s is not the gossip of a cachenode: %v", e.Addr, plain(e.Err))
	case JoinKey:
		return "gossip key does not match " + e.Addr
	case JoinCluster:
		return fmt.Sprintf("%s is in cluster %s", e.Addr, e.Detail)
	case JoinNameTaken:
		return fmt.Sprintf("the name %q is taken by the member at %s", e.Detail, e.Addr)
	case JoinIDTaken:
		return fmt.Sprintf("the member %s at %s has the same id as this node: its data directory is a copy", e.Member, e.Addr)
	case JoinSelf:
		return e.Addr + " is this node itself"
	case JoinClock:
		way := "ahead of"
		if e.Behind {
			way = "behind"
		}
		return fmt.Sprintf("the clock of this machine is %s %s that of %s", e.Detail, way, e.Member)
	case JoinVersion:
		return fmt.Sprintf("the version of %s (%s) and this one do not understand each other", e.Member, e.Detail)
	case JoinMember:
		return "this node is a member of cluster " + e.Detail
	}
	return fmt.Sprintf("cannot join %s: %v", e.Addr, e.Err)
}

// Hint is what to do about it.
func (e *JoinError) Hint() string {
	switch e.Kind {
	case JoinUnreachable:
		return "is the node running, and do firewalls let TCP and UDP through to its gossip port? 'cachenode token' on it prints the line to join with"
	case JoinNoMember:
		return fmt.Sprintf("give the address of gossip, not that of the proxy; its default port is %d", DefaultPort)
	case JoinKey:
		return "copy it with 'cachenode key show' from a member, or print the token anew with 'cachenode token': it changes with the key"
	case JoinCluster:
		return "print the token of that cluster with 'cachenode token' on one of its members"
	case JoinNameTaken:
		return "give this node another name with --name NAME; if that member is gone for good, 'cachenode forget " + e.Detail + "'"
	case JoinIDTaken:
		return "delete the file id in the data directory of this node, and start it again"
	case JoinSelf:
		return "give the address of another node, on which 'cachenode token' prints the line to join with"
	case JoinClock:
		return "set the clocks, for example with 'timedatectl set-ntp true'"
	case JoinVersion:
		return "bring the older one up to date"
	case JoinMember:
		return "take it out with 'cachenode leave' first"
	}
	return ""
}

// dialFailure turns what a hello failed with into a JoinError.
func dialFailure(addr string, err error) *JoinError {
	e := &JoinError{Kind: JoinUnreachable, Addr: addr, Member: addr, Err: err}
	if s, ok := errors.AsType[*StrangerError](err); ok {
		if e.Kind = JoinCluster; s.SameCluster() {
			e.Kind = JoinKey
		}
		e.Detail = fmt.Sprintf("%q (%s), and the token is for %q (%s)", s.Cluster, short(s.ID), s.Ours.Name, short(s.Ours.ID))
		return e
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok || isRemoteAlert(err) {
		e.Kind = JoinKey // it does not accept what we showed
		return e
	}
	_, spoke := errors.AsType[tls.RecordHeaderError](err)
	_, said := errors.AsType[*CallError](err)
	if spoke || said || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) {
		e.Kind = JoinNoMember
	}
	return e
}

func isRemoteAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// plain is an error in the words of the system, without those around it.
func plain(err error) error {
	if err == nil {
		return errors.New("no reason is known")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return errors.New("it does not speak TLS")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it hung up")
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New(dns.Err)
	}
	if no, ok := errors.AsType[unix.Errno](err); ok {
		return no
	}
	return err
}

// refusal is err when it says that somebody answers whom we cannot join; nil
// for an address where nobody is.
func refusal(err error) error {
	if e, ok := errors.AsType[*JoinError](err); ok && e.Kind != JoinUnreachable && e.Kind != JoinSelf {
		return e
	}
	return nil
}

// Status is that of HTTP for the admin interface.
func (e *JoinError) Status() int {
	switch e.Kind {
	case JoinUnreachable, JoinNoMember:
		return http.StatusBadGateway
	default:
		return http.StatusConflict
	}
}
