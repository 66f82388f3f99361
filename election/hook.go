package election

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"

	"github.com/cachenode/cachenode/internal/units"
)

// Hook tells a program, a web server, the system log or a mailbox that this
// node took the virtual IP or gave it up. Exactly one of exec, webhook, syslog
// and mail is set.
type Hook struct {
	// Exec is a program and its arguments, without a shell. CACHENODE_EVENT is
	// acquired or lost, CACHENODE_VIP, CACHENODE_TERM, CACHENODE_NODE and
	// CACHENODE_REASON say the rest.
	Exec []string `yaml:"exec"`
	// Webhook is an http or https URL that gets the change as JSON by POST.
	Webhook string `yaml:"webhook"`
	// Syslog is the socket of the local system log, such as /dev/log, or the
	// ADDRESS:PORT of a remote one (UDP, RFC 5424).
	Syslog string `yaml:"syslog"`
	// Mail sends a message by SMTP.
	Mail Mail `yaml:"mail"`
	// Timeout is how long one call may take; 0 takes 10s.
	Timeout units.Duration `yaml:"timeout"`
}

// Mail is where a message goes.
type Mail struct {
	// Server is HOST:PORT of the SMTP server; it is spoken to with STARTTLS if it
	// offers that.
	Server string `yaml:"server"`
	// From is the sender's address.
	From string `yaml:"from"`
	// To lists the receivers' addresses.
	To []string `yaml:"to"`
}

func (m *Mail) set() bool { return m.Server != "" || m.From != "" || len(m.To) > 0 }

func (h *Hook) problems() (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	kinds := 0
	for _, set := range []bool{len(h.Exec) > 0, h.Webhook != "", h.Syslog != "", h.Mail.set()} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		bad("exec: set exactly one of exec, webhook, syslog and mail")
	}
	if len(h.Exec) > 0 && h.Exec[0] == "" {
		bad("exec: the program is empty")
	}
	if u, err := url.Parse(h.Webhook); h.Webhook != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		bad("webhook: %q is no http or https URL", h.Webhook)
	}
	if h.Syslog != "" && !filepath.IsAbs(h.Syslog) && !hostPort(h.Syslog) {
		bad("syslog: %q is neither the path of a socket nor ADDRESS:PORT", h.Syslog)
	}
	if h.Mail.set() {
		errs = append(errs, h.Mail.problems()...)
	}
	if h.Timeout < 0 {
		bad("timeout: must not be negative")
	}
	return errs
}

func (m *Mail) problems() (errs []error) {
	if !hostPort(m.Server) {
		errs = append(errs, fmt.Errorf("mail.server: %q is not HOST:PORT", m.Server))
	}
	if m.From == "" {
		errs = append(errs, errors.New("mail.from: must be an address"))
	}
	if len(m.To) == 0 {
		errs = append(errs, errors.New("mail.to: want at least one address"))
	}
	return errs
}

func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && port != ""
}
