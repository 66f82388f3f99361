package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/cachenode/cachenode/acl"
	"github.com/cachenode/cachenode/internal/dns"
)

// Error is a failed exchange in the words of those who are told about it.
type Error struct {
	Page   string // squid's name of the error page: ERR_CONNECT_FAIL …
	Status int    // what the client is answered; 499 when there is no client any more
	Type   string // error type of Proxy-Status (RFC 9209 §2.3)
	Err    error  // the cause, for the log
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Type
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Causes that this package finds itself.
var (
	errEmptyReply     = errors.New("connection closed before a response")
	errHeadTooLarge   = errors.New("response head too large")
	errConnectTimeout = errors.New("connection took too long")
	errNoConnFree     = errors.New("all connections to the host are in use")
	errClosed         = errors.New("client is closed")
)

// protocolError is a response that breaks HTTP.
type protocolError string

func (e protocolError) Error() string { return "invalid response: " + string(e) }

// requestError is a request that cannot be sent as it is.
type requestError struct{ err error }

func (e requestError) Error() string { return "send request: " + e.err.Error() }
func (e requestError) Unwrap() error { return e.err }

// headError is a connection that failed before the response's head was whole.
type headError struct{ err error }

func (e headError) Error() string { return "read response: " + e.err.Error() }
func (e headError) Unwrap() error { return e.err }

// bodyError is a response that ended before its end.
type bodyError struct{ err error }

func (e bodyError) Error() string { return "read response body: " + e.err.Error() }
func (e bodyError) Unwrap() error { return e.err }

// tlsError is a handshake that failed.
type tlsError struct{ err error }

func (e tlsError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e tlsError) Unwrap() error { return e.err }

// Classify says what err means for the client. It is total: every error but
// nil has a class, and an *Error anywhere in its chain is its own class.
func Classify(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := classOf(err)
	e.Err = err
	return &e
}

func classOf(err error) Error {
	switch {
	case errors.Is(err, context.Canceled):
		return Error{Page: "ERR_CLIENT_GONE", Status: 499, Type: "http_request_error"}
	case is[*acl.Denied](err):
		return Error{Page: "ERR_ACCESS_DENIED", Status: 403, Type: "destination_ip_prohibited"}
	case is[*dns.Error](err):
		return dnsClass(err)
	case is[requestError](err):
		return requestClass(err)
	case errors.Is(err, errHeadTooLarge):
		return Error{Page: "ERR_TOO_BIG", Status: 502, Type: "http_response_header_section_size"}
	case is[protocolError](err) && !is[bodyError](err):
		return Error{Page: "ERR_INVALID_RESP", Status: 502, Type: "http_protocol_error"}
	case is[tlsError](err):
		return tlsClass(err)
	case is[bodyError](err):
		return bodyClass(err)
	case is[headError](err):
		return headClass(err)
	}
	if e, ok := errors.AsType[*parentRefusal](err); ok {
		return parentClass(e.code)
	}
	return connectClass(err)
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func requestClass(err error) Error {
	e := Error{Page: "ERR_INVALID_REQ", Status: 400, Type: "http_request_error"}
	if isTimeout(err) {
		e.Status = 408 // the client stopped in the middle of its body
	}
	return e
}

// parentClass words a parent's refusal to open a tunnel.
func parentClass(code int) Error {
	switch code {
	case 403:
		return Error{Page: "ERR_ACCESS_DENIED", Status: 403, Type: "http_request_denied"}
	case 504:
		return Error{Page: "ERR_CONNECT_FAIL", Status: 504, Type: "connection_timeout"}
	case 407:
		return Error{Page: "ERR_CANNOT_FORWARD", Status: 502, Type: "proxy_configuration_error"}
	}
	return Error{Page: "ERR_CONNECT_FAIL", Status: 502, Type: "destination_unavailable"}
}

func dnsClass(err error) Error {
	if e, ok := errors.AsType[*dns.Error](err); ok && e.Timeout {
		return Error{Page: "ERR_DNS_FAIL", Status: 503, Type: "dns_timeout"}
	}
	return Error{Page: "ERR_DNS_FAIL", Status: 503, Type: "dns_error"}
}

func tlsClass(err error) Error {
	e := Error{Page: "ERR_SECURE_CONNECT_FAIL", Status: 502, Type: "tls_protocol_error"}
	switch {
	case isCertificate(err):
		e.Type = "tls_certificate_error"
	case isTimeout(err):
		e.Type, e.Status = "connection_timeout", 504
	case is[tls.AlertError](err):
		e.Type = "tls_alert_received"
	case isReset(err):
		e.Type = "connection_terminated"
	}
	return e
}

func isCertificate(err error) bool {
	return is[*tls.CertificateVerificationError](err) || is[x509.UnknownAuthorityError](err) ||
		is[x509.HostnameError](err) || is[x509.CertificateInvalidError](err)
}

func bodyClass(err error) Error {
	if isTimeout(err) {
		return Error{Page: "ERR_READ_TIMEOUT", Status: 504, Type: "connection_read_timeout"}
	}
	return Error{Page: "ERR_READ_ERROR", Status: 502, Type: "http_response_incomplete"}
}

func headClass(err error) Error {
	switch {
	case isTimeout(err):
		return Error{Page: "ERR_READ_TIMEOUT", Status: 504, Type: "connection_read_timeout"}
	case errors.Is(err, errEmptyReply):
		return Error{Page: "ERR_ZERO_SIZE_OBJECT", Status: 502, Type: "connection_terminated"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Error{Page: "ERR_READ_ERROR", Status: 502, Type: "http_response_incomplete"}
	}
	return Error{Page: "ERR_READ_ERROR", Status: 502, Type: "connection_terminated"}
}

func connectClass(err error) Error {
	e := Error{Page: "ERR_CONNECT_FAIL", Status: 503, Type: "destination_unavailable"}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Status, e.Type = 502, "connection_refused"
	case errors.Is(err, errNoConnFree):
		e.Page, e.Type = "ERR_CANNOT_FORWARD", "connection_limit_reached"
	case errors.Is(err, errClosed):
		e.Page, e.Type = "ERR_SHUTTING_DOWN", "proxy_internal_error"
	case isUnreachable(err):
		e.Type = "destination_ip_unroutable"
	case isTimeout(err), errors.Is(err, errConnectTimeout):
		e.Status, e.Type = 504, "connection_timeout"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Page, e.Type = "ERR_CANNOT_FORWARD", "proxy_internal_error"
	case isReset(err):
		e.Status, e.Type = 502, "connection_terminated"
	}
	return e
}

func isUnreachable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
