package vip

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

var (
	testMAC = [6]byte{2, 0, 0, 0, 0, 1}
	vip4    = netip.MustParseAddr("10.0.0.100")
	vip6    = netip.MustParseAddr("fd00::100")
)

// The frames, byte by byte, as RFC 826, RFC 5227, RFC 4861 and RFC 4862 have
// them.
func TestFramesOnTheWire(t *testing.T) {
	const padding = "000000000000000000000000000000000000"
	for _, tc := range []struct {
		name string
		got  []byte
		want string
	}{
		{"probe", arpProbe(testMAC, vip4),
			"ffffffffffff0200000000010806" + "0001080006040001" + "020000000001" + "00000000" + "000000000000" + "0a000064" + padding},
		{"question", arpQuestion(testMAC, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.254")),
			"ffffffffffff0200000000010806" + "0001080006040001" + "020000000001" + "0a000001" + "000000000000" + "0a0000fe" + padding},
		{"announcement", arpAnnouncements(testMAC, vip4)[0],
			"ffffffffffff0200000000010806" + "0001080006040001" + "020000000001" + "0a000064" + "000000000000" + "0a000064" + padding},
		{"announcement as a reply", arpAnnouncements(testMAC, vip4)[1],
			"ffffffffffff0200000000010806" + "0001080006040002" + "020000000001" + "0a000064" + "ffffffffffff" + "0a000064" + padding},
		{"solicitation", ndpProbe(testMAC, vip6),
			"3333ff00010002000000000186dd" + "6000000000183aff" + "00000000000000000000000000000000" + "ff0200000000000000000001ff000100" +
				"87007ba7" + "00000000" + "fd000000000000000000000000000100"},
		{"advertisement", ndpAnnouncement(testMAC, vip6),
			"33330000000102000000000186dd" + "6000000000203aff" + "fd000000000000000000000000000100" + "ff020000000000000000000000000001" +
				"8800589d" + "20000000" + "fd000000000000000000000000000100" + "0201020000000001"},
	} {
		if got := hex.EncodeToString(tc.got); got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

func TestFramesComeBack(t *testing.T) {
	a, err := parseARP(arpAnnouncements(testMAC, vip4)[1])
	if err != nil || a.op != arpReply || a.sender != vip4 || a.target != vip4 || a.senderMAC != testMAC || a.targetMAC != broadcastMAC {
		t.Errorf("%+v, %v", a, err)
	}
	n, err := parseNDP(ndpAnnouncement(testMAC, vip6))
	if err != nil || n.kind != ndpAdvertisement || n.target != vip6 || n.mac != testMAC || n.flags != flagOverride {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestFramesAreRefused(t *testing.T) {
	good := ndpAnnouncement(testMAC, vip6)
	for i := 14; i < len(good); i++ {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x11
		if n, err := parseNDP(bad); err == nil && i >= 20 {
			t.Errorf("byte %d changed, and accepted: %+v", i, n)
		}
	}
	for n := range good {
		if _, err := parseNDP(good[:n]); err == nil {
			t.Errorf("cut to %d bytes, and accepted", n)
		}
	}
	for n := range etherLength + arpLength {
		if _, err := parseARP(arpProbe(testMAC, vip4)[:n]); err == nil {
			t.Errorf("cut to %d bytes, and accepted", n)
		}
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(arpProbe(testMAC, vip4))
	f.Add(arpAnnouncements(testMAC, vip4)[1])
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseARP(b)
		if err != nil {
			return
		}
		if again, err := parseARP(a.frame()); err != nil || again != a {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}

func FuzzParseNDP(f *testing.F) {
	f.Add(ndpProbe(testMAC, vip6))
	f.Add(ndpQuestion(testMAC, vip6, vip6))
	f.Add(ndpAnnouncement(testMAC, vip6))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNDP(b)
		if err != nil {
			return
		}
		if again, err := parseNDP(n.frame()); err != nil || again != n {
			t.Fatalf("%+v became %+v, %v", n, again, err)
		}
	})
}
