package election

import (
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

func TestOptions(t *testing.T) {
	o := DefaultOptions()
	if err := o.Validate(); err != nil || o.On() {
		t.Errorf("defaults: %v, on %v", err, o.On())
	}
	for _, tc := range []struct {
		change func(o *Options)
		want   []string // parts of the error; none: it is right
	}{
		{func(o *Options) { o.Address = "10.0.0.100/24" }, nil},
		{func(o *Options) { o.Address = "fd00::100/64" }, nil},
		{func(o *Options) { o.Address = "127.0.0.100/8" }, nil},
		{func(o *Options) { o.Address, o.Mode = "127.0.0.100/8", ModeLinux }, []string{"vip.address: 127.0.0.100 does not go with mode linux"}},
		{func(o *Options) { o.Address, o.Mode = "10.0.0.1/24", ModeLoopback }, []string{"vip.address: 10.0.0.1 does not go"}},
		{func(o *Options) { o.Address = "10.0.0.100" }, []string{"vip.address: invalid"}},
		{func(o *Options) { o.Address = "10.0.0.0/24" }, []string{"is the address of the network"}},
		{func(o *Options) { o.Address = "10.0.0.255/24" }, []string{"broadcast"}},
		{func(o *Options) { o.Address = "224.0.0.1/24" }, []string{"cannot be a virtual IP"}},
		{func(o *Options) { o.Port, o.Mode, o.Priority = 0, "x", 300 }, []string{"vip.port", "vip.mode", "vip.priority"}},
		{func(o *Options) { o.Heartbeat, o.Lease = 1, 1 }, []string{"vip.heartbeat", "vip.lease"}},
		{func(o *Options) { o.Heartbeat = units.Duration(time.Second) }, []string{"less than four heartbeats"}},
		{func(o *Options) { o.Hooks = []Hook{{}, {Webhook: "ftp://x", Syslog: "x"}} }, []string{"vip.hooks[0].exec", "vip.hooks[1].exec", "vip.hooks[1].webhook", "vip.hooks[1].syslog"}},
		{func(o *Options) { o.Hooks = []Hook{{Mail: Mail{Server: "x"}}} }, []string{"hooks[0].mail.server", "mail.from", "mail.to"}},
		{func(o *Options) { o.Hooks = []Hook{{Exec: []string{"/bin/true"}}, {Syslog: "/dev/log"}} }, nil},
	} {
		o := DefaultOptions()
		tc.change(&o)
		err := o.Validate()
		if (err == nil) != (tc.want == nil) {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		for _, part := range tc.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%+v: %v does not say %q", o, err, part)
			}
		}
	}
}
