package steer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/internal/netlab"
)

const (
	next     = 0xffffffff // the verdicts of the program
	redirect = 7

	port = 3128

	flagSYN, flagACK = 2, 16

	hopByHop = 256 // the extension header 0 of IPv6
)

var (
	toMAC     = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	clientMAC = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	noMAC     = make(net.HardwareAddr, 6) // of loopback, where a test run comes in

	vip4, vip6       = netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("fd09::100")
	client4, client6 = netip.MustParseAddr("10.9.0.200"), netip.MustParseAddr("fd09::200")
)

// frame is a packet to the virtual address, valid where the program looks.
type frame struct {
	to, from net.HardwareAddr // nil: to the host, from the client
	src, dst netip.Addr       // zero: from the client, to the virtual address of family
	v6       bool
	hops     byte   // 0: 64
	protocol int    // 0: TCP; hopByHop
	options  []byte // of IPv4; for IPv6: extension headers, from protocol on
	fragment uint16 // offset and flags of IPv4
	payload  []byte // nil: a TCP header
}

func tcp(source, dest uint16, flags byte) []byte {
	b := make([]byte, 20, 32)
	binary.BigEndian.PutUint16(b, source)
	binary.BigEndian.PutUint16(b[2:], dest)
	b[12], b[13] = 5<<4, flags
	return append(b, "some bytes"...)
}

func or[T any](v, otherwise T, use bool) T {
	if use {
		return v
	}
	return otherwise
}

func (f frame) bytes() []byte {
	b := append([]byte(nil), or(f.to, noMAC, f.to != nil)...)
	b = append(b, or(f.from, clientMAC, f.from != nil)...)
	payload := or(f.payload, tcp(5000, port, flagACK), f.payload != nil)
	hops, protocol := or(f.hops, 64, f.hops != 0), byte(or(f.protocol, 6, f.protocol != 0)) // hopByHop becomes 0
	if f.v6 {
		src, dst := or(f.src, client6, f.src.IsValid()), or(f.dst, vip6, f.dst.IsValid())
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.options)+len(payload)))
		b = append(b, protocol, hops)
		b = append(append(append(b, src.AsSlice()...), dst.AsSlice()...), f.options...)
		return append(b, payload...)
	}
	src, dst := or(f.src, client4, f.src.IsValid()), or(f.dst, vip4, f.dst.IsValid())
	b = append(b, 8, 0)
	head := append([]byte{byte(0x45 + len(f.options)/4), 0}, 0, 0, 0, 1, 0, 0, hops, protocol, 0, 0)
	binary.BigEndian.PutUint16(head[2:], uint16(20+len(f.options)+len(payload)))
	binary.BigEndian.PutUint16(head[6:], f.fragment)
	head = append(append(append(head, src.AsSlice()...), dst.AsSlice()...), f.options...)
	binary.BigEndian.PutUint16(head[10:], ^sum16(head))
	return append(append(b, head...), payload...)
}

// sum16 is the ones' complement sum of RFC 1071.
func sum16(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// need skips a test where programs cannot be loaded.
func need(t *testing.T) {
	t.Helper()
	if reason := netlab.Missing(); reason != "" {
		t.Skip("network namespaces: " + reason)
	}
	if err := Check(); errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EPERM) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// onHost is a host with the virtual addresses, and the programs of both
// families with the hardware address of its interface.
func onHost(t *testing.T) (h *netlab.Host, v4, v6 *program) {
	t.Helper()
	need(t)
	h = netlab.New(t).Host("holder", "10.9.0.1/24", "10.9.0.100/24", "fd09::1/64", "fd09::100/64")
	for p, addr := range map[**program]netip.Addr{&v4: vip4, &v6: vip6} {
		var err error
		if *p, err = load(&Config{Interface: device(t, h, netlab.Interface), Address: addr, Port: port, To: toMAC}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*p).close() })
	}
	return h, v4, v6
}

func device(t *testing.T, h *netlab.Host, name string) (ifi *net.Interface) {
	t.Helper()
	err := h.Do(func() (err error) {
		ifi, err = net.InterfaceByName(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ifi
}

// run gives a frame to the program; copied is how many copies it sent.
func run(t *testing.T, h *netlab.Host, p *program, in []byte) (verdict uint32, out []byte, copied uint64) {
	t.Helper()
	var before, after uint64
	opts := ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+64)}
	err := h.Do(func() (err error) {
		_ = p.Copied.Get(&before)
		verdict, err = p.Forward.Run(&opts)
		_ = p.Copied.Get(&after)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return verdict, opts.DataOut, after - before
}

func TestVerdicts(t *testing.T) {
	h, v4, v6 := onHost(t)
	own := device(t, h, netlab.Interface).HardwareAddr
	options, fragment := []byte{6, 0, 1, 4, 0, 0, 0, 0}, func(offset uint16) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{6, 0}, offset), 1)
	}
	const sent, kept, both = "sent on", "kept", "both"
	for name, tc := range map[string]struct {
		f    frame
		want string
	}{
		"unknown connection":       {frame{}, sent},
		"SYN":                      {frame{payload: tcp(5000, port, flagSYN)}, kept},
		"SYN and ACK":              {frame{payload: tcp(5000, port, flagSYN|flagACK)}, sent},
		"RST":                      {frame{payload: tcp(5000, port, 4)}, sent},
		"other port":               {frame{payload: tcp(5000, 80, flagACK)}, kept},
		"other address":            {frame{dst: netip.MustParseAddr("10.9.0.1")}, kept},
		"options":                  {frame{options: make([]byte, 40)}, sent},
		"options, SYN":             {frame{options: make([]byte, 12), payload: tcp(5000, port, flagSYN)}, kept},
		"first fragment":           {frame{fragment: 0x2000}, sent},
		"later fragment":           {frame{fragment: 0x2001, payload: make([]byte, 64)}, both},
		"last fragment":            {frame{fragment: 0x0100, payload: make([]byte, 64)}, both},
		"fragment of UDP":          {frame{fragment: 0x2001, protocol: 17}, kept},
		"UDP":                      {frame{protocol: 17}, kept},
		"ping":                     {frame{protocol: 1, payload: append([]byte{8, 0}, make([]byte, 30)...)}, kept},
		"too big for the path":     {frame{protocol: 1, payload: append([]byte{3, 4}, make([]byte, 30)...)}, both},
		"to another machine":       {frame{to: net.HardwareAddr{2, 9, 9, 9, 9, 9}}, kept},
		"from the next machine":    {frame{from: toMAC}, kept},
		"last hop":                 {frame{hops: 1}, kept},
		"two hops left":            {frame{hops: 2}, sent},
		"TCP header cut off":       {frame{payload: tcp(5000, port, flagACK)[:12]}, kept},
		"v6":                       {frame{v6: true}, sent},
		"v6 SYN":                   {frame{v6: true, payload: tcp(5000, port, flagSYN)}, kept},
		"v6 other address":         {frame{v6: true, dst: netip.MustParseAddr("fd09::101")}, kept},
		"v6 other port":            {frame{v6: true, payload: tcp(5000, 80, flagACK)}, kept},
		"v6 hop-by-hop":            {frame{v6: true, protocol: hopByHop, options: options}, sent},
		"v6 destination options":   {frame{v6: true, protocol: 60, options: options}, sent},
		"v6 first fragment":        {frame{v6: true, protocol: 44, options: fragment(1)}, sent},
		"v6 later fragment":        {frame{v6: true, protocol: 44, options: fragment(0x81), payload: make([]byte, 64)}, both},
		"v6 too big for the path":  {frame{v6: true, protocol: 58, payload: append([]byte{2, 0}, make([]byte, 30)...)}, both},
		"v6 neighbour's question":  {frame{v6: true, protocol: 58, payload: append([]byte{135, 0}, make([]byte, 30)...)}, kept},
		"v6 last hop":              {frame{v6: true, hops: 1}, kept},
		"v6 from the next machine": {frame{v6: true, from: toMAC}, kept},
		"v6 unknown extension":     {frame{v6: true, protocol: 99}, kept},
	} {
		t.Run(name, func(t *testing.T) {
			in := tc.f.bytes()
			p := v4
			if tc.f.v6 {
				p = v6
			}
			verdict, out, copied := run(t, h, p, in)
			got := kept
			switch {
			case verdict == redirect && copied == 0:
				got = sent
			case verdict == next && copied == 1:
				got = both
			case verdict != next || copied != 0:
				t.Fatalf("verdict %d, %d copies", int32(verdict), copied)
			}
			if got != tc.want {
				t.Fatalf("%s, want %s", got, tc.want)
			}
			checkFrame(t, in, out, got, own)
		})
	}
	t.Run("tagged", func(t *testing.T) {
		f := frame{}.bytes()
		in := append(append(bytes.Clone(f[:12]), 0x81, 0, 0, 7), f[12:]...)
		if verdict, out, copied := run(t, h, v4, in); verdict != next || copied != 0 || !bytes.Equal(in, out) {
			t.Errorf("verdict %d, %d copies", int32(verdict), copied)
		}
	})
}

// checkFrame checks what became of a frame: of one that is sent on nothing but
// the hardware addresses and the hops.
func checkFrame(t *testing.T, in, out []byte, fate string, own net.HardwareAddr) {
	t.Helper()
	want, hopsAt := bytes.Clone(in), 22
	if in[12] == 0x86 {
		hopsAt = 21
	}
	if fate != "kept" {
		want[hopsAt] = min(want[hopsAt], 8) - 1
		if in[12] == 8 {
			head := want[14 : 14+int(want[14]&15)*4]
			head[10], head[11] = 0, 0
			binary.BigEndian.PutUint16(head[10:], ^sum16(head))
		}
	}
	if fate == "sent on" {
		copy(want, toMAC)
		copy(want[6:], own)
	}
	if !bytes.Equal(out, want) {
		t.Errorf("became\n%x, want\n%x", out, want)
	}
}

// A connection of this machine is its own, a listener alone is not.
func TestOwnConnections(t *testing.T) {
	h, v4, v6 := onHost(t)
	// One listener for both families: its sockets are of IPv6.
	ln, err := h.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for addr, p := range map[netip.Addr]*program{vip4: v4, vip6: v6} {
		conn, err := h.Dial("tcp", netip.AddrPortFrom(addr, port).String(), 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		from := conn.LocalAddr().(*net.TCPAddr).AddrPort()
		f := frame{src: from.Addr(), v6: addr.Is6(), payload: tcp(from.Port(), port, flagACK)}
		if verdict, _, _ := run(t, h, p, f.bytes()); verdict != next {
			t.Errorf("%v: a packet of a connection: verdict %d", addr, int32(verdict))
		}
		f.payload = tcp(from.Port()^1, port, flagACK)
		if verdict, _, _ := run(t, h, p, f.bytes()); verdict != redirect {
			t.Errorf("%v: a packet of another one: verdict %d", addr, int32(verdict))
		}
	}
}

// The check itself, by a reader that is not ours.
func TestFramesAreValid(t *testing.T) {
	h, err := ipv4.ParseHeader(frame{options: make([]byte, 8)}.bytes()[14:])
	if err != nil || h.Len != 28 || !h.Dst.Equal(vip4.AsSlice()) || sum16(frame{}.bytes()[14:34]) != 0xffff {
		t.Errorf("%v, %v", h, err)
	}
}
