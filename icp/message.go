package icp

import (
	"encoding/binary"
	"errors"
	"strings"
)

// Version is the only one that is sent, and understood. Squid 5.7 can be killed
// with another.
const Version = 2

// Opcode says what a datagram is.
type Opcode uint8

// The opcodes of RFC 2186.
const (
	OpInvalid     Opcode = 0
	OpQuery       Opcode = 1
	OpHit         Opcode = 2
	OpMiss        Opcode = 3
	OpErr         Opcode = 4
	OpSEcho       Opcode = 10
	OpDEcho       Opcode = 11
	OpMissNoFetch Opcode = 21
	OpDenied      Opcode = 22
	OpHitObj      Opcode = 23
	opcodes              = 24 // all of them are lower
)

// String is the name of the opcode in lower case; "other" for one that RFC 2186
// does not have.
func (o Opcode) String() string {
	switch o {
	case OpInvalid:
		return "invalid"
	case OpQuery:
		return "query"
	case OpHit:
		return "hit"
	case OpMiss:
		return "miss"
	case OpErr:
		return "err"
	case OpSEcho:
		return "secho"
	case OpDEcho:
		return "decho"
	case OpMissNoFetch:
		return "miss_nofetch"
	case OpDenied:
		return "denied"
	case OpHitObj:
		return "hit_obj"
	}
	return "other"
}

// reply reports the opcodes that may answer a query of ours, which never offers
// HIT_OBJ.
func (o Opcode) reply() bool {
	switch o {
	case OpHit, OpMiss, OpErr, OpMissNoFetch, OpDenied:
		return true
	}
	return false
}

// The flags of RFC 2186.
const (
	FlagHitObj uint32 = 1 << 31 // the asker takes HIT_OBJ
	FlagSrcRTT uint32 = 1 << 30 // the asker wants the round trip to the origin
)

// The sizes of a datagram.
const (
	headerSize = 20
	querySize  = headerSize + 4 // the requester's address
	// MaxURL is the longest URL that is asked about; squid reads no longer one.
	MaxURL = 8 << 10
	// MaxDatagram is the size of the largest datagram that is read.
	MaxDatagram = 16 << 10
)

// Message is one datagram.
type Message struct {
	Opcode Opcode
	Number uint32 // of the request; a reply has its query's
	Flags  uint32
	Data   uint32 // meant by the flags
	URL    string
}

// What is wrong with a datagram.
var (
	ErrShort   = errors.New("icp: shorter than a header")
	ErrLength  = errors.New("icp: the length in the header is not that of the datagram")
	ErrVersion = errors.New("icp: not version 2")
	ErrURL     = errors.New("icp: the URL does not end with the datagram's only NUL")
)

// Parse reads one datagram, of which it keeps nothing. With ErrURL the header is
// valid and returned, for the answer. The payload of an opcode that carries more
// than a URL, or that is not known, is not looked at.
func Parse(b []byte) (Message, error) {
	if len(b) < headerSize {
		return Message{}, ErrShort
	}
	if b[1] != Version {
		return Message{}, ErrVersion
	}
	if int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return Message{}, ErrLength
	}
	m := Message{
		Opcode: Opcode(b[0]), Number: binary.BigEndian.Uint32(b[4:]),
		Flags: binary.BigEndian.Uint32(b[8:]), Data: binary.BigEndian.Uint32(b[12:]),
	}
	switch {
	case m.Opcode == OpQuery && len(b) <= querySize:
		return m, ErrURL
	case m.Opcode == OpQuery:
		b = b[querySize:]
	case m.Opcode == OpDEcho, m.Opcode.reply():
		b = b[headerSize:]
	default:
		return m, nil
	}
	url := string(b)
	if end := strings.IndexByte(url, 0); end < 0 || end != len(url)-1 {
		return m, ErrURL
	}
	m.URL = url[:len(url)-1]
	return m, nil
}

// Append appends the datagram of m. The URL must not have a NUL, nor be longer
// than MaxURL.
func Append(b []byte, m *Message) []byte {
	start := len(b)
	b = append(b, byte(m.Opcode), Version, 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.Number)
	b = binary.BigEndian.AppendUint32(b, m.Flags)
	b = binary.BigEndian.AppendUint32(b, m.Data)
	b = append(b, 0, 0, 0, 0)
	if m.Opcode == OpQuery {
		b = append(b, 0, 0, 0, 0)
	}
	b = append(b, m.URL...)
	b = append(b, 0)
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// Askable reports a URL that can be asked about: printable, and not too long.
func Askable(url string) bool {
	if url == "" || len(url) > MaxURL {
		return false
	}
	for i := range len(url) {
		if url[i] <= ' ' || url[i] == 0x7f {
			return false
		}
	}
	return true
}
