package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/portholder"
)

// listen binds one address. An address without a host takes IPv4 and IPv6, or
// the one of them that the machine has.
func listen(ctx context.Context, key, addr string) (net.Listener, error) {
	lc := listenConfig()
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, listenFault(key, addr, err)
	}
	return ln, nil
}

// listenConfig is that of listeners for clients: idle limits end what is dead,
// and the keep-alive option costs system calls for each connection.
func listenConfig() net.ListenConfig { return net.ListenConfig{KeepAlive: -1} }

// adminFault tells a TCP address that cannot be had from a socket that cannot
// be made.
func adminFault(o Options, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Net == "tcp" {
		return listenFault("admin.listen", o.Admin.Listen, err)
	}
	return dataFault(o.Data, err)
}

func listenFault(key, addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	f := &Fault{Err: fmt.Errorf("listen on %s: %w", addr, cause(err)), Hint: "see " + key + " in 'cachenode config show'"}
	flag := map[string]string{"admin.listen": "--admin", "vip.port": "--vip-port"}[key]
	if flag == "" {
		flag = "--listen"
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		f.Err = fmt.Errorf("listen on %s: the port is in use%s", addr, by(addr))
		f.Hint = fmt.Sprintf("see who has it with 'ss -ltnp sport = :%s', or choose another port: cachenode run %s %s", port, flag, another(flag, addr))
	case errors.Is(err, unix.EACCES):
		f.Hint = fmt.Sprintf("ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another port: cachenode run %s :3128", flag)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		f.Hint = "the address is not one of this machine's; see them with 'ip address'"
	}
	return f
}

// cause is the system's error without the words of package net around it.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

func by(addr string) string {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		_, port, _ := net.SplitHostPort(addr)
		ap, _ = netip.ParseAddrPort("0.0.0.0:" + port)
	}
	if who := portholder.Find(ap.Port()); who != "" {
		return " by " + who
	}
	return ""
}

// another is addr with a port that is likely to be free, as the flag takes it.
func another(flag, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	n, err := net.LookupPort("tcp", port)
	if err != nil || n > 64000 {
		n = 3128
	}
	if flag == "--vip-port" {
		return fmt.Sprint(n + 1000)
	}
	return net.JoinHostPort(host, fmt.Sprint(n+1000))
}
