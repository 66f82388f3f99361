package hook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"time"

	"github.com/cachenode/cachenode/election"
)

// sendMail sends one message. It stops when ctx ends.
func sendMail(ctx context.Context, m *election.Mail, c Change) error {
	host, _, err := net.SplitHostPort(m.Server)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return errors.Join(fmt.Errorf("speak to %s: %w", m.Server, err), conn.Close())
	}
	defer client.Close()
	if ok, _ := client.Extension("STARTTLS"); ok {
		if err := client.StartTLS(&tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}); err != nil {
			return fmt.Errorf("start TLS with %s: %w", m.Server, err)
		}
	}
	if err := deliver(client, m, c); err != nil {
		return fmt.Errorf("mail through %s: %w", m.Server, err)
	}
	return client.Quit()
}

func deliver(client *smtp.Client, m *election.Mail, c Change) error {
	if err := client.Mail(m.From); err != nil {
		return err
	}
	for _, to := range m.To {
		if err := client.Rcpt(to); err != nil {
			return err
		}
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	_, err = w.Write(message(m, c))
	return errors.Join(err, w.Close())
}

func message(m *election.Mail, c Change) []byte {
	oneLine := strings.NewReplacer("\r", " ", "\n", " ")
	var b strings.Builder
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, oneLine.Replace(value)) }
	field("From", m.From)
	field("To", strings.Join(m.To, ", "))
	field("Date", c.Time.Format(time.RFC1123Z))
	field("Subject", fmt.Sprintf("[cachenode] %s: virtual IP %s %s", c.Node, c.VIP, c.Event))
	field("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(&b, "\r\n%s\r\n", oneLine.Replace(c.String()))
	return []byte(b.String())
}
