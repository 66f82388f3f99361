package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/internal/dns"
)

func TestClassify(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"negative answer", fmt.Errorf("dial: %w", &dns.Error{Host: "x", Reason: "no such host"}), "ERR_DNS_FAIL 503 dns_error"},
		{"no answer", &dns.Error{Host: "x", Timeout: true}, "ERR_DNS_FAIL 503 dns_timeout"},
		{"guard", &net.OpError{Op: "dial", Err: &acl.Denied{Addr: netip.MustParseAddrPort("127.0.0.1:80")}}, "ERR_ACCESS_DENIED 403 destination_ip_prohibited"},
		{"refused", dial(syscall.ECONNREFUSED), "ERR_CONNECT_FAIL 502 connection_refused"},
		{"no route", dial(syscall.EHOSTUNREACH), "ERR_CONNECT_FAIL 503 destination_ip_unroutable"},
		{"no network", dial(syscall.ENETUNREACH), "ERR_CONNECT_FAIL 503 destination_ip_unroutable"},
		{"kernel's time-out", dial(syscall.ETIMEDOUT), "ERR_CONNECT_FAIL 504 connection_timeout"},
		{"our time-out", errConnectTimeout, "ERR_CONNECT_FAIL 504 connection_timeout"},
		{"no descriptors", dial(syscall.EMFILE), "ERR_CANNOT_FORWARD 503 proxy_internal_error"},
		{"reset while connecting", dial(syscall.ECONNRESET), "ERR_CONNECT_FAIL 502 connection_terminated"},
		{"certificate", tlsError{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, "ERR_SECURE_CONNECT_FAIL 502 tls_certificate_error"},
		{"handshake", tlsError{errors.New("no common cipher")}, "ERR_SECURE_CONNECT_FAIL 502 tls_protocol_error"},
		{"alert", tlsError{tls.AlertError(40)}, "ERR_SECURE_CONNECT_FAIL 502 tls_alert_received"},
		{"handshake too slow", tlsError{context.DeadlineExceeded}, "ERR_SECURE_CONNECT_FAIL 504 connection_timeout"},
		{"handshake cut", tlsError{io.EOF}, "ERR_SECURE_CONNECT_FAIL 502 connection_terminated"},
		{"no head in time", headError{os.ErrDeadlineExceeded}, "ERR_READ_TIMEOUT 504 connection_read_timeout"},
		{"reset before the head", headError{syscall.ECONNRESET}, "ERR_READ_ERROR 502 connection_terminated"},
		{"empty reply", headError{errEmptyReply}, "ERR_ZERO_SIZE_OBJECT 502 connection_terminated"},
		{"half a head", headError{io.ErrUnexpectedEOF}, "ERR_READ_ERROR 502 http_response_incomplete"},
		{"invalid", protocolError("x"), "ERR_INVALID_RESP 502 http_protocol_error"},
		{"too big", errHeadTooLarge, "ERR_TOO_BIG 502 http_response_header_section_size"},
		{"short body", bodyError{io.ErrUnexpectedEOF}, "ERR_READ_ERROR 502 http_response_incomplete"},
		{"reset in the body", bodyError{syscall.ECONNRESET}, "ERR_READ_ERROR 502 http_response_incomplete"},
		{"invalid chunk", bodyError{protocolError("x")}, "ERR_READ_ERROR 502 http_response_incomplete"},
		{"slow body", bodyError{os.ErrDeadlineExceeded}, "ERR_READ_TIMEOUT 504 connection_read_timeout"},
		{"client gone", fmt.Errorf("x: %w", context.Canceled), "ERR_CLIENT_GONE 499 http_request_error"},
		{"bad request", requestError{errors.New("x")}, "ERR_INVALID_REQ 400 http_request_error"},
		{"slow upload", requestError{os.ErrDeadlineExceeded}, "ERR_INVALID_REQ 408 http_request_error"},
		{"deadline", context.DeadlineExceeded, "ERR_CONNECT_FAIL 504 connection_timeout"},
		{"anything", errors.New("x"), "ERR_CONNECT_FAIL 503 destination_unavailable"},
		{"itself", fmt.Errorf("x: %w", &Error{Page: "P", Status: 1, Type: "t"}), "P 1 t"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := Classify(tc.err)
			if got := fmt.Sprint(e.Page, " ", e.Status, " ", e.Type); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if tc.name != "itself" && !errors.Is(e, tc.err) {
				t.Error("the cause is lost")
			}
			if e.Error() == "" {
				t.Error("no text")
			}
		})
	}
	if Classify(nil) != nil {
		t.Error("no error has a class")
	}
}
