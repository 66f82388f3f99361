package vip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// arpSettings are those of an interface, as in /proc/sys/net/ipv4/conf. They are
// read and written by netlink, since that works where /proc is read-only.
type arpSettings struct {
	Announce uint32 `json:"arp_announce"` // 2: asks in the name of an address of the interface
	Ignore   uint32 `json:"arp_ignore"`   // 1: answers for addresses of the interface only
}

// Numbers of linux/ip.h and linux/if_link.h.
const (
	confAnnounce = 18
	confIgnore   = 19
	inetConf     = 1 // IFLA_INET_CONF
)

// before is what a file keeps of an interface that was changed, for the next
// process if this one dies. After a reboot it means nothing.
type before struct {
	Boot      string `json:"boot"`
	Interface string `json:"interface"`
	arpSettings
}

// quieten keeps this machine from answering for an address of lo on the
// interface, and from asking in its name. IPv6 does neither.
func (l *Link) quieten() error {
	if l.addr.Is6() || l.loud != nil {
		return nil
	}
	was, err := readARP(l.ifi.Index)
	if err != nil {
		return err
	}
	if err := l.remember(was); err != nil {
		return err
	}
	l.loud = &was
	return writeARP(l.ifi.Index, arpSettings{Announce: max(was.Announce, 2), Ignore: max(was.Ignore, 1)})
}

// loosen puts back what quieten changed, in this process or in one that died.
func (l *Link) loosen() error {
	was, err := l.loud, error(nil)
	if was == nil {
		was, err = l.recall()
	}
	if was == nil {
		return err
	}
	if err := writeARP(l.ifi.Index, *was); err != nil {
		return err
	}
	l.loud = nil
	return l.forget()
}

func (l *Link) remember(was arpSettings) error {
	if l.o.File == "" {
		return nil
	}
	b, err := json.Marshal(before{Boot: boot(), Interface: l.ifi.Name, arpSettings: was})
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.o.File, append(b, '\n'), 0o640); err != nil {
		return fmt.Errorf("keep the ARP settings of %s: %w", l.ifi.Name, err)
	}
	return nil
}

// recall is what another process has left to be put back; nil: nothing.
func (l *Link) recall() (*arpSettings, error) {
	if l.o.File == "" {
		return nil, nil
	}
	b, err := os.ReadFile(l.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recall the ARP settings of %s: %w", l.ifi.Name, err)
	}
	var was before
	if json.Unmarshal(b, &was) != nil || was.Boot != boot() || was.Interface != l.ifi.Name {
		return nil, l.forget()
	}
	return &was.arpSettings, nil
}

func (l *Link) forget() error {
	if l.o.File == "" {
		return nil
	}
	if err := os.Remove(l.o.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the ARP settings of %s: %w", l.ifi.Name, err)
	}
	return nil
}

// boot identifies this run of the kernel.
func boot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// readARP reads the settings of an interface.
func readARP(index int) (arpSettings, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 {
		return arpSettings{}, fmt.Errorf("read ARP settings: %w", errors.Join(err, errNoSettings(len(answers))))
	}
	b := answers[0][unix.SizeofIfInfomsg:]
	for _, kind := range []uint16{unix.IFLA_AF_SPEC, unix.AF_INET, inetConf} {
		if b, err = attribute(b, kind); err != nil {
			return arpSettings{}, fmt.Errorf("read ARP settings: %w", err)
		}
	}
	if len(b) < 4*confIgnore {
		return arpSettings{}, fmt.Errorf("read ARP settings: %w", errNoSettings(0))
	}
	at := func(n int) uint32 { return binary.NativeEndian.Uint32(b[4*(n-1):]) }
	return arpSettings{Announce: at(confAnnounce), Ignore: at(confIgnore)}, nil
}

func errNoSettings(answers int) error {
	if answers > 0 {
		return nil
	}
	return errors.New("the kernel does not say")
}

// attribute finds one among others.
func attribute(b []byte, kind uint16) ([]byte, error) {
	all, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.Attr.Type&^unix.NLA_F_NESTED == kind {
			return a.Value, nil
		}
	}
	return nil, errNoSettings(0)
}

// writeARP changes the settings of an interface.
func writeARP(index int, s arpSettings) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	conf := spec.AddRtAttr(unix.AF_INET|unix.NLA_F_NESTED, nil).AddRtAttr(inetConf|unix.NLA_F_NESTED, nil)
	conf.AddRtAttr(confAnnounce, nl.Uint32Attr(s.Announce))
	conf.AddRtAttr(confIgnore, nl.Uint32Attr(s.Ignore))
	req.AddData(spec)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("write ARP settings: %w", err)
	}
	return nil
}
